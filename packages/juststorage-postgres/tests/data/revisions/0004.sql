INSERT INTO tallies (window_start, name, amount) VALUES
    (1767225600, 'kr:api_key:k1', 7),
    (1767225660, 'tb:acme', 1099511627776);

INSERT INTO audit_events (at, action, subject, request_id, tenant_id, namespace, target, details)
VALUES
    ('2026-01-02', 'object.created', 'api_key:k1', 'request-1', 'acme', 'models',
        '01900000-0000-7000-8000-000000000001', '{"content_hash": "sha256:11", "storage_class": "hot"}'),
    ('2026-01-03', 'api_key.revoked', 'operator', NULL, NULL, NULL, 'k3',
        '{"name": "revoked", "scopes": [], "is_active": false}');
