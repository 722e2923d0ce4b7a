-- revision 0001
CREATE TABLE aggregates ( aggregate VARCHAR NOT NULL, sequence BIGINT NOT NULL, PRIMARY KEY (aggregate) );
CREATE TABLE alembic_version ( version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num) );
CREATE TABLE aliases ( model_id VARCHAR NOT NULL, name VARCHAR NOT NULL, number INTEGER NOT NULL, updated_at DATETIME NOT NULL, PRIMARY KEY (model_id, name), CONSTRAINT fk_aliases_version FOREIGN KEY(model_id, number) REFERENCES versions (model_id, number) );
CREATE TABLE log_bounds ( shard INTEGER NOT NULL, trimmed BIGINT NOT NULL, PRIMARY KEY (shard) );
CREATE TABLE models ( id VARCHAR NOT NULL, name VARCHAR NOT NULL, versions INTEGER NOT NULL, closed BOOLEAN NOT NULL, PRIMARY KEY (id) );
CREATE TABLE outbox ( number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, id VARCHAR NOT NULL, aggregate VARCHAR NOT NULL, sequence BIGINT NOT NULL, position BIGINT, type VARCHAR NOT NULL, payload BLOB NOT NULL, occurred_at DATETIME NOT NULL, CONSTRAINT uq_outbox_id UNIQUE (id), CONSTRAINT uq_outbox_aggregate_sequence UNIQUE (aggregate, sequence) );
CREATE TABLE requests ( id VARCHAR NOT NULL, digest BLOB NOT NULL, answer BLOB NOT NULL, remembered_at DATETIME NOT NULL, PRIMARY KEY (id) );
CREATE TABLE versions ( model_id VARCHAR NOT NULL, number INTEGER NOT NULL, model_name VARCHAR NOT NULL, state VARCHAR NOT NULL, condition TEXT, description VARCHAR NOT NULL, source TEXT NOT NULL, signature TEXT, metrics TEXT NOT NULL, labels TEXT NOT NULL, artifact_format VARCHAR, artifact_sha256 VARCHAR, artifact_size BIGINT, artifact_uploaded_at DATETIME, revision INTEGER NOT NULL, created_at DATETIME NOT NULL, updated_at DATETIME NOT NULL, PRIMARY KEY (model_id, number), CONSTRAINT fk_versions_model FOREIGN KEY(model_id) REFERENCES models (id) );
CREATE INDEX ix_aliases_version ON aliases (model_id, number);
CREATE INDEX ix_models_name ON models (name);
CREATE UNIQUE INDEX ix_outbox_position ON outbox (position);
CREATE INDEX ix_requests_remembered_at ON requests (remembered_at);
