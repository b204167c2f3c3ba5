-- Near nothing the services of an account are told to hold before they work. What is used and not covered may block
-- further holds, by the account's own policy if it is not the deployment's, until there are as many credits.
ALTER TABLE account
ADD COLUMN hold_first boolean NOT NULL DEFAULT true,
ADD COLUMN uncovered_usage text,
ADD COLUMN uncovered bigint,
ADD CONSTRAINT uncovered_usage_is_known CHECK (uncovered_usage IN ('reject', 'block_holds')) NOT VALID;
