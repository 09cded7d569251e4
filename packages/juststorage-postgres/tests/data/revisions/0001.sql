-- Rows as the release with the schema 0001 wrote them: every state, every kind of name. Never changed
-- afterwards; a later revision brings a file of its own.

INSERT INTO blobs (content_hash, storage_class, size_bytes, ref_count, locator, stored_at, zero_since,
    claimed_until, first_seen_at, last_used_at)
VALUES
    ('sha256:1111111111111111111111111111111111111111111111111111111111111111', 'hot', 4, 2,
        'hot/11/11/1', '2026-01-02', NULL, NULL, '2026-01-02', '2026-01-03'),
    ('sha256:1111111111111111111111111111111111111111111111111111111111111111', 'cold', 4, 1,
        'cold/11/11/1', '2026-01-02', NULL, NULL, '2026-01-02', NULL),
    ('sha256:2222222222222222222222222222222222222222222222222222222222222222', 'hot', 0, 1,
        NULL, NULL, NULL, NULL, '2026-01-02', NULL),
    ('sha256:3333333333333333333333333333333333333333333333333333333333333333', 'hot', 7, 0,
        'hot/33/33/3', '2026-01-02', '2026-01-04', NULL, '2026-01-02', NULL),
    ('sha256:4444444444444444444444444444444444444444444444444444444444444444', 'hot', 9, 0,
        'hot/44/44/4', NULL, '2026-01-04', '2026-01-05', '2026-01-02', NULL);

INSERT INTO objects (id, namespace, tenant_id, key, status, storage_class, content_hash, size_bytes,
    content_type, metadata, created_at, updated_at, blob_hash, claims_key, lease_expires_at, lease_epoch)
VALUES
    ('01900000-0000-7000-8000-000000000001', 'models', 'acme', 'a/ü "quoted"', 'COMMITTED', 'hot',
        'sha256:1111111111111111111111111111111111111111111111111111111111111111', 4, 'text/plain',
        '{"b": [1, null, 1.50], "a": "ä"}', '2026-01-02', '2026-01-03',
        'sha256:1111111111111111111111111111111111111111111111111111111111111111', true, NULL, 1),
    ('01900000-0000-7000-8000-000000000002', 'models', 'acme', NULL, 'COMMITTED', 'hot',
        'sha256:1111111111111111111111111111111111111111111111111111111111111111', 4,
        'application/octet-stream', '{}', '2026-01-02', '2026-01-02',
        'sha256:1111111111111111111111111111111111111111111111111111111111111111', false, NULL, 1),
    ('01900000-0000-7000-8000-000000000003', 'models', 'other', 'a/ü "quoted"', 'COMMITTED', 'cold',
        'sha256:1111111111111111111111111111111111111111111111111111111111111111', 4, 'text/plain',
        '{}', '2026-01-02', '2026-01-02',
        'sha256:1111111111111111111111111111111111111111111111111111111111111111', false, NULL, 3),
    ('01900000-0000-7000-8000-000000000004', 'models', 'acme', 'claimed', 'WRITING', 'hot', NULL, NULL,
        'text/plain', '{}', '2026-01-02', '2026-01-02', NULL, true, '2036-01-02', 1),
    ('01900000-0000-7000-8000-000000000005', 'models', 'acme', 'put', 'WRITING', 'hot',
        'sha256:2222222222222222222222222222222222222222222222222222222222222222', 0, 'text/plain',
        '{}', '2026-01-02', '2026-01-02',
        'sha256:2222222222222222222222222222222222222222222222222222222222222222', false,
        '2026-01-02', 2),
    ('01900000-0000-7000-8000-000000000006', 'models', 'acme', 'deleted', 'DELETING', 'hot',
        'sha256:3333333333333333333333333333333333333333333333333333333333333333', 7, 'text/plain',
        '{}', '2026-01-02', '2026-01-04', NULL, false, NULL, 1),
    ('01900000-0000-7000-8000-000000000007', 'models', 'acme', 'deleted', 'DELETED', 'hot',
        'sha256:5555555555555555555555555555555555555555555555555555555555555555', 7, 'text/plain',
        '{}', '2026-01-02', '2026-01-04', NULL, false, NULL, 1),
    ('01900000-0000-7000-8000-000000000008', 'models', 'acme', 'aborted', 'DELETED', 'hot', NULL, NULL,
        'text/plain', '{}', '2026-01-02', '2026-01-02', NULL, true, '2026-01-02', 2);

INSERT INTO api_keys (id, name, prefix, hashed, tenants, scopes, namespaces, created_at, expires_at,
    last_used_at, is_active)
VALUES
    ('k1', 'everything', 'js_1', '\x01', NULL, '{admin}', NULL, '2026-01-02', NULL, '2026-01-03', true),
    ('k2', 'some', 'js_2', '\x02', '{acme,other}', '{objects:read,objects:write}', '{models}', '2026-01-02',
        '2036-01-02', NULL, true),
    ('k3', 'revoked', 'js_3', '\x03', '{}', '{}', '{}', '2026-01-02', NULL, NULL, false);

INSERT INTO secrets (name, value) VALUES ('cursor', '\x00112233');
