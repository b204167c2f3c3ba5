-- Whether credits go back with the money is as it was when they were bought.
ALTER TABLE purchase ADD COLUMN takes_back boolean NOT NULL DEFAULT true;

-- What was refunded of the purchase, or going to be, before this refund: with its amount it says which credits are its.
ALTER TABLE refund ADD COLUMN before_minor bigint NOT NULL DEFAULT 0;
