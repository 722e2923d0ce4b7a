-- revision 0001
CREATE TABLE aggregates ( aggregate VARCHAR NOT NULL, sequence BIGINT NOT NULL, PRIMARY KEY (aggregate) );
CREATE TABLE alembic_version ( version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num) );
CREATE TABLE jobs ( id VARCHAR NOT NULL, state VARCHAR NOT NULL, experiment_id VARCHAR NOT NULL, created_at DATETIME NOT NULL, record BLOB NOT NULL, PRIMARY KEY (id) );
CREATE TABLE log_bounds ( shard INTEGER NOT NULL, trimmed BIGINT NOT NULL, PRIMARY KEY (shard) );
CREATE TABLE outbox ( number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, id VARCHAR NOT NULL, aggregate VARCHAR NOT NULL, sequence BIGINT NOT NULL, position BIGINT, type VARCHAR NOT NULL, payload BLOB NOT NULL, occurred_at DATETIME NOT NULL, CONSTRAINT uq_outbox_id UNIQUE (id), CONSTRAINT uq_outbox_aggregate_sequence UNIQUE (aggregate, sequence) );
CREATE TABLE requests ( id VARCHAR NOT NULL, digest BLOB NOT NULL, answer BLOB NOT NULL, remembered_at DATETIME NOT NULL, PRIMARY KEY (id) );
CREATE TABLE workers ( job_id VARCHAR NOT NULL, "index" INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (job_id, "index") );
CREATE INDEX ix_jobs_created_at ON jobs (created_at, id);
CREATE INDEX ix_jobs_experiment_id_created_at ON jobs (experiment_id, created_at, id);
CREATE INDEX ix_jobs_state_created_at ON jobs (state, created_at, id);
CREATE UNIQUE INDEX ix_outbox_position ON outbox (position);
CREATE INDEX ix_requests_remembered_at ON requests (remembered_at);
