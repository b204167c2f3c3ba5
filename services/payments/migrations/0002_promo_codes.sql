-- Promo codes and their redemptions. A redemption belongs to a purchase: reserved while that may be paid, redeemed once
-- it is, freed when it ends unpaid. Codes and redemptions are never deleted.

CREATE TABLE promo_code (
    code text PRIMARY KEY,
    -- what it gives, by its kind, as the catalogue writes it; the same holds for `minimum`
    gives jsonb NOT NULL,
    total_limit int,
    per_account int NOT NULL,
    new_customers_only boolean NOT NULL,
    accounts uuid [],
    starts_at timestamptz,
    ends_at timestamptz,
    minimum jsonb NOT NULL,
    packs text [],
    custom_amounts boolean NOT NULL,
    active boolean NOT NULL,
    -- rises with every change of the above, so that a code is redeemed on the terms that were quoted
    revision int NOT NULL,
    -- how many redemptions are not freed
    redeemed int NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT code_can_be_typed CHECK (code ~ '^[A-Z0-9_-]{3,40}$'),
    CONSTRAINT kind_is_known CHECK (gives ->> 'kind' IN ('percent', 'amount', 'bonus_credits', 'free_trial')),
    CONSTRAINT limits_are_positive CHECK (total_limit > 0 AND per_account > 0),
    CONSTRAINT it_starts_before_it_ends CHECK (starts_at < ends_at),
    CONSTRAINT redeemed_is_not_negative CHECK (redeemed >= 0)
);
GRANT SELECT, INSERT, UPDATE ON promo_code TO app_role;

-- How many redemptions of a code an account has that are not freed.
CREATE TABLE promo_code_account (
    code text NOT NULL REFERENCES promo_code,
    account uuid NOT NULL,
    redeemed int NOT NULL,
    CONSTRAINT an_account_is_counted_once PRIMARY KEY (code, account),
    CONSTRAINT redeemed_is_not_negative CHECK (redeemed >= 0)
);
GRANT SELECT, INSERT, UPDATE ON promo_code_account TO app_role;

CREATE TABLE promo_redemption (
    purchase uuid NOT NULL REFERENCES purchase,
    code text NOT NULL REFERENCES promo_code,
    account uuid NOT NULL,
    state text NOT NULL,
    -- what it took off the list price, and the credits that it brings
    discount_minor bigint NOT NULL,
    bonus bigint NOT NULL,
    bonus_kind text,
    bonus_expires_after_days int,
    -- the code's terms when it was redeemed
    total_limit int,
    per_account int NOT NULL,
    new_customers_only boolean NOT NULL,
    -- redeemed again, whatever the limits, since the purchase was paid though it had ended
    after_end boolean NOT NULL,
    CONSTRAINT a_purchase_redeems_one_code PRIMARY KEY (purchase),
    CONSTRAINT state_is_known CHECK (state IN ('reserved', 'redeemed', 'freed')),
    CONSTRAINT discount_is_not_negative CHECK (discount_minor >= 0),
    CONSTRAINT bonus_has_a_kind CHECK (bonus >= 0 AND (bonus > 0) = (bonus_kind IS NOT NULL)),
    CONSTRAINT only_a_bonus_expires CHECK (bonus > 0 OR bonus_expires_after_days IS NULL)
);
CREATE INDEX redemption_of_code ON promo_redemption (code, account);
CREATE UNIQUE INDEX an_account_is_a_new_customer_once ON promo_redemption (account)
WHERE new_customers_only AND state <> 'freed' AND NOT after_end;
GRANT SELECT, INSERT, UPDATE ON promo_redemption TO app_role;
