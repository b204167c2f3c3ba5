-- What a catalogue file sells, as it was last applied, and what stands for it at Stripe. Nothing is ever deleted.

CREATE TABLE product (
    kind text NOT NULL,
    id text NOT NULL,
    -- as the catalogue writes it, without what is as it is by default
    terms jsonb NOT NULL,
    active boolean NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT a_product_is_told_apart_by_kind_and_id PRIMARY KEY (kind, id),
    CONSTRAINT kind_is_known CHECK (kind IN ('pack', 'gift_card'))
);
GRANT SELECT, INSERT, UPDATE ON product TO app_role;

-- An object at Stripe that stands for something we sell. The row is the intent; what Stripe has answered is `told`.
CREATE TABLE counterpart (
    id uuid PRIMARY KEY,
    livemode boolean NOT NULL,
    kind text NOT NULL,
    -- of what: "pack:starter", "promo_code:SPRING"
    name text NOT NULL,
    -- what of it never changes; a price of another amount is another object
    fixed jsonb NOT NULL,
    -- what is to be said of it
    said jsonb NOT NULL,
    -- rises with every change of `said`; the key of a call is made of it
    revision int NOT NULL,
    -- the revision that Stripe has answered last
    told int NOT NULL,
    stripe_id text,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT a_thing_has_one_counterpart UNIQUE (livemode, kind, name, fixed),
    CONSTRAINT an_object_is_the_counterpart_of_one_thing UNIQUE (stripe_id),
    CONSTRAINT kind_is_known CHECK (kind IN ('product', 'price', 'coupon', 'promotion_code')),
    CONSTRAINT what_is_told_was_said CHECK (told BETWEEN 0 AND revision)
);
GRANT SELECT, INSERT, UPDATE ON counterpart TO app_role;
