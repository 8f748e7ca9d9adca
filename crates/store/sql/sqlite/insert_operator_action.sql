-- Records what somebody did, once.
-- Parameters: 1 id, 2 who, 3 role, 4 address, 5 action, 6 kind of the subject, 7 subject, 8 detail, 9 outcome.
INSERT INTO operator_action (id, who, role, address, action, subject_kind, subject, detail, outcome)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT DO NOTHING
