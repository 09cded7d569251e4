-- Idempotency keys as the release with the schema 0003 keeps them: of a request that was answered, of
-- one that never was, and of one whose time is over.

INSERT INTO idempotency_keys (tenant_id, key, request, upload_id, expires_at, answer)
VALUES
    ('acme', 'answered', 'r1', '01900000-0000-7000-8000-000000000001', '2036-01-02',
        '{"object":{"id":"01900000-0000-7000-8000-000000000001","namespace":"models","tenant_id":"acme","key":"a/ü \"quoted\"","status":"COMMITTED","storage_class":"hot","content_hash":"sha256:1111111111111111111111111111111111111111111111111111111111111111","size_bytes":4,"content_type":"text/plain","metadata":{"encoded":"e30="},"created_at":"2026-01-02T00:00:00Z","updated_at":"2026-01-02T00:00:00Z","locator":null},"replaced":null}'),
    ('acme', 'under way', 'r2', '01900000-0000-7000-8000-000000000004', '2036-01-02', NULL),
    ('other', 'over', 'r3', '01900000-0000-7000-8000-000000000003', '2026-01-03', NULL);
