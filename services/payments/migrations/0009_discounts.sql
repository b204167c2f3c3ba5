-- What a purchase was quoted: volume, loyalty tier, when its credits expire; and by which card it was paid.
-- Its list price is what was paid and all that was taken off: by volume, by its tier, by its promo code.
ALTER TABLE purchase
ADD COLUMN volume_minor bigint NOT NULL DEFAULT 0,
ADD COLUMN expires_after_days int,
ADD COLUMN bonus_expires_after_days int,
ADD COLUMN card_brand text,
ADD COLUMN card_last4 text,
ADD CONSTRAINT volume_discount_is_not_negative CHECK (volume_minor >= 0) NOT VALID,
ADD CONSTRAINT only_a_bonus_expires_on_its_own CHECK (bonus > 0 OR bonus_expires_after_days IS NULL) NOT VALID,
ADD CONSTRAINT a_card_has_brand_and_digits CHECK ((card_brand IS NULL) = (card_last4 IS NULL)) NOT VALID;

-- What an account has paid, to sum up its lifetime spend.
CREATE INDEX purchase_paid_of_account ON purchase (account) WHERE paid_at IS NOT NULL;

-- The loyalty tier that an account had when a purchase started, and what that brings to it.
CREATE TABLE purchase_tier (
    purchase uuid NOT NULL REFERENCES purchase,
    tier text NOT NULL,
    name text NOT NULL,
    discount_minor bigint NOT NULL,
    bonus bigint NOT NULL,
    bonus_kind text,
    bonus_expires_after_days int,
    CONSTRAINT a_purchase_has_one_tier PRIMARY KEY (purchase),
    CONSTRAINT discount_is_not_negative CHECK (discount_minor >= 0),
    CONSTRAINT bonus_has_a_kind CHECK (bonus >= 0 AND (bonus > 0) = (bonus_kind IS NOT NULL)),
    CONSTRAINT only_a_bonus_expires CHECK (bonus > 0 OR bonus_expires_after_days IS NULL)
);
GRANT SELECT, INSERT ON purchase_tier TO app_role;
