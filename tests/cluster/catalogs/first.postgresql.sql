-- The tables as qbitel 0.1.0 made them before the catalog had numbered steps, with a row in some of them.
CREATE TABLE batch_keys (
    stream VARCHAR(128) NOT NULL,
    key VARCHAR(256) NOT NULL,
    shard INTEGER NOT NULL,
    made BIGINT NOT NULL,
    digest VARCHAR(64) NOT NULL,
    division INTEGER NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (stream, key, shard)
);
CREATE INDEX ix_batch_keys_made ON batch_keys (made);
CREATE TABLE jobs (
    id VARCHAR(32) NOT NULL,
    key VARCHAR(128),
    status VARCHAR(16) NOT NULL,
    created TIMESTAMP WITH TIME ZONE NOT NULL,
    updated TIMESTAMP WITH TIME ZONE NOT NULL,
    cancel BOOLEAN NOT NULL,
    attempts INTEGER NOT NULL,
    request JSON NOT NULL,
    progress JSON NOT NULL,
    results JSON NOT NULL,
    warnings JSON NOT NULL,
    problem JSON,
    PRIMARY KEY (id),
    UNIQUE (key)
);
CREATE INDEX ix_jobs_status ON jobs (status);
CREATE INDEX ix_jobs_updated ON jobs (updated);
CREATE TABLE leases (
    stream VARCHAR(128) NOT NULL,
    shard INTEGER NOT NULL,
    epoch BIGINT NOT NULL,
    owner VARCHAR(128),
    last BIGINT NOT NULL,
    PRIMARY KEY (stream, shard)
);
CREATE TABLE manifest (
    stream VARCHAR(128) NOT NULL,
    shard INTEGER NOT NULL,
    position BIGINT NOT NULL,
    first BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    path VARCHAR(256) NOT NULL,
    size BIGINT NOT NULL,
    sha256 VARCHAR(64) NOT NULL,
    messages BIGINT NOT NULL,
    damaged VARCHAR(512) NOT NULL,
    earliest DOUBLE PRECISION NOT NULL,
    latest DOUBLE PRECISION NOT NULL,
    untimed BIGINT NOT NULL,
    erased BIGINT NOT NULL,
    PRIMARY KEY (stream, shard, position),
    UNIQUE (stream, shard, epoch, sequence)
);
CREATE TABLE model_versions (
    model VARCHAR(64) NOT NULL,
    number INTEGER NOT NULL,
    digest VARCHAR(64) NOT NULL,
    registered TIMESTAMP WITH TIME ZONE NOT NULL,
    lineage JSON NOT NULL,
    metrics JSON NOT NULL,
    PRIMARY KEY (model, number)
);
CREATE INDEX ix_model_versions_digest ON model_versions (digest);
CREATE TABLE placements (
    stream VARCHAR(128) NOT NULL,
    shard INTEGER NOT NULL,
    holder VARCHAR(128) NOT NULL,
    PRIMARY KEY (stream, shard)
);
CREATE TABLE redirects (
    stream VARCHAR(128) NOT NULL,
    number INTEGER NOT NULL,
    range INTEGER NOT NULL,
    "to" JSON NOT NULL,
    PRIMARY KEY (stream, number)
);
CREATE TABLE snapshots (
    stream VARCHAR(128) NOT NULL,
    shard INTEGER NOT NULL,
    position BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    path VARCHAR(256) NOT NULL,
    size BIGINT NOT NULL,
    sha256 VARCHAR(64) NOT NULL,
    PRIMARY KEY (stream, shard)
);
CREATE TABLE specifications (
    digest VARCHAR(64) NOT NULL,
    id VARCHAR(20) NOT NULL,
    protocol VARCHAR(64) NOT NULL,
    stored TIMESTAMP WITH TIME ZONE NOT NULL,
    messages BIGINT NOT NULL,
    document BYTEA NOT NULL,
    stream VARCHAR(128),
    PRIMARY KEY (digest)
);
CREATE INDEX ix_specifications_id ON specifications (id);
CREATE INDEX ix_specifications_stream ON specifications (stream);
CREATE TABLE stream_events (
    number SERIAL NOT NULL,
    stream VARCHAR(128) NOT NULL,
    version INTEGER NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    kind VARCHAR(32) NOT NULL,
    path VARCHAR(1024) NOT NULL,
    before VARCHAR(4096) NOT NULL,
    after VARCHAR(4096) NOT NULL,
    evidence JSON NOT NULL,
    PRIMARY KEY (number)
);
CREATE INDEX ix_stream_events_stream ON stream_events (stream);
CREATE TABLE stream_versions (
    stream VARCHAR(128) NOT NULL,
    number INTEGER NOT NULL,
    id VARCHAR(20) NOT NULL,
    digest VARCHAR(64) NOT NULL,
    identity VARCHAR(64) NOT NULL,
    messages BIGINT NOT NULL,
    stored TIMESTAMP WITH TIME ZONE NOT NULL,
    first BIGINT,
    "end" BIGINT,
    untimed BOOLEAN NOT NULL,
    PRIMARY KEY (stream, number)
);
CREATE TABLE streams (
    name VARCHAR(128) NOT NULL,
    shards INTEGER NOT NULL,
    settings JSON NOT NULL,
    framing JSON,
    horizon BIGINT NOT NULL,
    tenant VARCHAR(128) NOT NULL,
    keep_s BIGINT,
    erasures BIGINT NOT NULL,
    privacy JSON NOT NULL,
    PRIMARY KEY (name)
);
CREATE TABLE unknown_protocols (
    number INTEGER NOT NULL,
    name VARCHAR(64) NOT NULL,
    signature JSON NOT NULL,
    met TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (number),
    UNIQUE (name)
);
CREATE TABLE model_aliases (
    model VARCHAR(64) NOT NULL,
    alias VARCHAR(64) NOT NULL,
    number INTEGER NOT NULL,
    moved TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (model, alias),
    FOREIGN KEY(model, number) REFERENCES model_versions (model, number)
);
INSERT INTO jobs (id, key, status, created, updated, cancel, attempts, request, progress, results, warnings) VALUES ('job-1', 'k', 'waiting', '2026-01-02 03:04:05.000000', '2026-01-02 03:04:05.000000', false, 0, '{"context": {}}', '{}', '[]', '[]');
INSERT INTO specifications (digest, id, protocol, stored, messages, document) VALUES ('d1', 'spec-1', 'toy', '2026-01-02 03:04:05.000000', 7, '\x7b7d');
INSERT INTO leases (stream, shard, epoch, owner, last) VALUES ('plant', 0, 3, 'a', 11);
