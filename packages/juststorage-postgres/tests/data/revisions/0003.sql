-- Idempotency keys as the release with the schema 0003 keeps them: of a request that was answered, of
-- one that never was, and of one whose time is over.

INSERT INTO idempotency_keys (tenant_id, key, request, upload_id, expires_at, answer)
VALUES
    ('acme', 'answered', 'r1', '01900000-0000-7000-8000-000000000001', '2036-01-02', '{"status": 201}'),
    ('acme', 'under way', 'r2', '01900000-0000-7000-8000-000000000004', '2036-01-02', NULL),
    ('other', 'answered', 'r3', '01900000-0000-7000-8000-000000000003', '2026-01-03', '{}');
