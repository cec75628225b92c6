-- Counting, and the first and last claim, without reading every row.

CREATE INDEX ref_claims_by_time ON ref_claims (side, created_at_us);
CREATE INDEX ref_claims_refused ON ref_claims (side) WHERE state = 'refused';
