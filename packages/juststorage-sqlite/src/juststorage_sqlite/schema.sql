CREATE TABLE alembic_version (
	version_num TEXT NOT NULL,
	PRIMARY KEY (version_num)
);

CREATE TABLE api_keys (
	id TEXT NOT NULL,
	name TEXT NOT NULL,
	prefix TEXT NOT NULL,
	hashed BLOB NOT NULL,
	tenants TEXT,
	scopes TEXT NOT NULL,
	namespaces TEXT,
	created_at INTEGER NOT NULL,
	expires_at INTEGER,
	last_used_at INTEGER,
	is_active INTEGER NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT uq_api_keys_hashed UNIQUE (hashed)
);

CREATE TABLE audit_events (
	id INTEGER NOT NULL,
	at INTEGER NOT NULL,
	action TEXT NOT NULL,
	subject TEXT,
	request_id TEXT,
	tenant_id TEXT,
	namespace TEXT,
	target TEXT NOT NULL,
	details TEXT NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE blobs (
	content_hash TEXT NOT NULL,
	storage_class TEXT NOT NULL,
	size_bytes INTEGER NOT NULL,
	ref_count INTEGER NOT NULL,
	locator TEXT,
	stored_at INTEGER,
	zero_since INTEGER,
	claimed_until INTEGER,
	first_seen_at INTEGER NOT NULL,
	last_used_at INTEGER,
	PRIMARY KEY (content_hash, storage_class),
	CONSTRAINT ck_blobs_storage_class CHECK (storage_class IN ('hot', 'cold')),
	CONSTRAINT ck_blobs_size CHECK (size_bytes >= 0),
	CONSTRAINT ck_blobs_ref_count CHECK (ref_count >= 0),
	CONSTRAINT ck_blobs_stored CHECK (stored_at IS NULL OR locator IS NOT NULL)
)
 WITHOUT ROWID;

CREATE INDEX ix_blobs_garbage ON blobs (zero_since) WHERE ref_count = 0;

CREATE INDEX ix_blobs_locator ON blobs (storage_class, locator) WHERE locator IS NOT NULL;

CREATE TABLE holds (
	name TEXT NOT NULL,
	since INTEGER NOT NULL,
	expires_at INTEGER,
	PRIMARY KEY (name)
)
 WITHOUT ROWID;

CREATE TABLE idempotency_keys (
	tenant_id TEXT NOT NULL,
	"key" TEXT NOT NULL,
	request TEXT NOT NULL,
	upload_id TEXT NOT NULL,
	expires_at INTEGER NOT NULL,
	answer TEXT,
	PRIMARY KEY (tenant_id, "key")
)
 WITHOUT ROWID;

CREATE INDEX ix_idempotency_keys_expires ON idempotency_keys (expires_at);

CREATE TABLE secrets (
	name TEXT NOT NULL,
	value BLOB NOT NULL,
	PRIMARY KEY (name)
);

CREATE TABLE switches (
	name TEXT NOT NULL,
	is_on INTEGER NOT NULL,
	turns INTEGER NOT NULL,
	PRIMARY KEY (name)
)
 WITHOUT ROWID;

CREATE TABLE tallies (
	window_start INTEGER NOT NULL,
	name TEXT NOT NULL,
	amount INTEGER NOT NULL,
	PRIMARY KEY (window_start, name)
)
 WITHOUT ROWID;

CREATE TABLE usage (
	tenant_id TEXT NOT NULL,
	namespace TEXT NOT NULL,
	storage_class TEXT NOT NULL,
	objects INTEGER NOT NULL,
	bytes INTEGER NOT NULL,
	PRIMARY KEY (tenant_id, namespace, storage_class)
)
 WITHOUT ROWID;

CREATE TABLE objects (
	id TEXT NOT NULL,
	namespace TEXT NOT NULL,
	tenant_id TEXT NOT NULL,
	"key" TEXT,
	status TEXT NOT NULL,
	storage_class TEXT NOT NULL,
	content_hash TEXT,
	size_bytes INTEGER,
	content_type TEXT NOT NULL,
	metadata TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	blob_hash TEXT,
	claims_key INTEGER NOT NULL,
	lease_expires_at INTEGER,
	lease_epoch INTEGER NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT fk_objects_blob FOREIGN KEY(blob_hash, storage_class) REFERENCES blobs (content_hash, storage_class) ON DELETE RESTRICT,
	CONSTRAINT ck_objects_status CHECK (status IN ('WRITING', 'COMMITTED', 'DELETING', 'DELETED')),
	CONSTRAINT ck_objects_storage_class CHECK (storage_class IN ('hot', 'cold')),
	CONSTRAINT ck_objects_size CHECK (size_bytes >= 0),
	CONSTRAINT ck_objects_lease CHECK ((status = 'WRITING') = (lease_expires_at IS NOT NULL)),
	CONSTRAINT ck_objects_reference CHECK (CASE status WHEN 'WRITING' THEN blob_hash IS content_hash WHEN 'COMMITTED' THEN blob_hash IS content_hash AND blob_hash IS NOT NULL AND size_bytes IS NOT NULL ELSE blob_hash IS NULL END)
);

CREATE INDEX ix_objects_blob ON objects (blob_hash, storage_class) WHERE blob_hash IS NOT NULL;

CREATE INDEX ix_objects_created ON objects (tenant_id, created_at, id) WHERE status = 'COMMITTED';

CREATE INDEX ix_objects_deleted ON objects (updated_at) WHERE status = 'DELETED';

CREATE INDEX ix_objects_deleting ON objects (content_hash, storage_class) WHERE status = 'DELETING';

CREATE INDEX ix_objects_key ON objects (tenant_id, "key", id) WHERE status = 'COMMITTED';

CREATE INDEX ix_objects_lease ON objects (lease_expires_at) WHERE status = 'WRITING';

CREATE INDEX ix_objects_namespace_created ON objects (tenant_id, namespace, created_at, id) WHERE status = 'COMMITTED';

CREATE INDEX ix_objects_size ON objects (tenant_id, size_bytes, id) WHERE status = 'COMMITTED';

CREATE INDEX ix_objects_updated ON objects (tenant_id, updated_at, id) WHERE status = 'COMMITTED';

CREATE UNIQUE INDEX uq_objects_key ON objects (tenant_id, namespace, "key") WHERE key IS NOT NULL AND (status = 'COMMITTED' OR (status = 'WRITING' AND claims_key = 1));

CREATE TRIGGER objects_usage_insert AFTER INSERT ON objects WHEN NEW.status = 'COMMITTED'
BEGIN
    INSERT INTO usage (tenant_id, namespace, storage_class, objects, bytes)
    VALUES (NEW.tenant_id, NEW.namespace, NEW.storage_class, 1, NEW.size_bytes)
    ON CONFLICT (tenant_id, namespace, storage_class)
    DO UPDATE SET objects = objects + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER objects_usage_enter
AFTER UPDATE OF tenant_id, namespace, status, storage_class, size_bytes
ON objects WHEN NEW.status = 'COMMITTED'
BEGIN
    INSERT INTO usage (tenant_id, namespace, storage_class, objects, bytes)
    VALUES (NEW.tenant_id, NEW.namespace, NEW.storage_class, 1, NEW.size_bytes)
    ON CONFLICT (tenant_id, namespace, storage_class)
    DO UPDATE SET objects = objects + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER objects_usage_leave
AFTER UPDATE OF tenant_id, namespace, status, storage_class, size_bytes
ON objects WHEN OLD.status = 'COMMITTED'
BEGIN
    UPDATE usage SET objects = objects - 1, bytes = bytes - OLD.size_bytes
    WHERE tenant_id = OLD.tenant_id AND namespace = OLD.namespace
        AND storage_class = OLD.storage_class;
END;

CREATE TRIGGER objects_usage_delete AFTER DELETE ON objects WHEN OLD.status = 'COMMITTED'
BEGIN
    UPDATE usage SET objects = objects - 1, bytes = bytes - OLD.size_bytes
    WHERE tenant_id = OLD.tenant_id AND namespace = OLD.namespace
        AND storage_class = OLD.storage_class;
END;

CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only');
END;

CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only');
END;
