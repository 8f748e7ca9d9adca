-- Opens a session, unless it was opened before.
-- Parameters: 1 to 12 the columns in this order.
INSERT INTO session (
    id, action, policy, total, estimated_ms, buffer_ms, finalizer_id, finalizer_type, finalizer, creator_id, related_content_type, related_object_id
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
ON CONFLICT (id) DO NOTHING
