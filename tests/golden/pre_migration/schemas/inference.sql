-- revision 0001
CREATE TABLE aggregates ( aggregate VARCHAR NOT NULL, sequence BIGINT NOT NULL, PRIMARY KEY (aggregate) );
CREATE TABLE alembic_version ( version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num) );
CREATE TABLE deployments ( model_id VARCHAR NOT NULL, version INTEGER NOT NULL, model_name VARCHAR NOT NULL, state VARCHAR NOT NULL, artifact_sha256 VARCHAR NOT NULL, artifact_size BIGINT NOT NULL, artifact_format VARCHAR NOT NULL, max_batch_size INTEGER NOT NULL, max_linger_s FLOAT NOT NULL, max_queued_rows INTEGER NOT NULL, max_queued_bytes BIGINT NOT NULL, max_running_batches INTEGER NOT NULL, relaxed BOOLEAN NOT NULL, pinned BOOLEAN NOT NULL, deploy_order BIGINT NOT NULL, deployed_at DATETIME NOT NULL, condition_reason VARCHAR, condition_message VARCHAR, condition_since DATETIME, request_id VARCHAR NOT NULL, request_digest BLOB NOT NULL, PRIMARY KEY (model_id, version) );
CREATE TABLE log_bounds ( shard INTEGER NOT NULL, trimmed BIGINT NOT NULL, PRIMARY KEY (shard) );
CREATE TABLE outbox ( number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, id VARCHAR NOT NULL, aggregate VARCHAR NOT NULL, sequence BIGINT NOT NULL, position BIGINT, type VARCHAR NOT NULL, payload BLOB NOT NULL, occurred_at DATETIME NOT NULL, CONSTRAINT uq_outbox_id UNIQUE (id), CONSTRAINT uq_outbox_aggregate_sequence UNIQUE (aggregate, sequence) );
CREATE TABLE requests ( id VARCHAR NOT NULL, digest BLOB NOT NULL, answer BLOB NOT NULL, remembered_at DATETIME NOT NULL, PRIMARY KEY (id) );
CREATE UNIQUE INDEX ix_outbox_position ON outbox (position);
CREATE INDEX ix_requests_remembered_at ON requests (remembered_at);
