-- Purchases that nobody pays end, and cards are saved, to be paid with.

ALTER TABLE purchase
-- why Stripe has canceled it, as far as it says so
ADD COLUMN cancellation text,
-- since when the buyer's bank waits for his answer
ADD COLUMN asked_at timestamptz,
-- the card that it is paid with at once, under Stripe's id
ADD COLUMN card text,
-- whether the card that it is paid with is to be saved
ADD COLUMN saves_card boolean NOT NULL DEFAULT false,
ADD CONSTRAINT only_what_is_canceled_says_why CHECK (cancellation IS NULL OR state = 'canceled') NOT VALID,
ADD CONSTRAINT since_when_a_bank_asks_is_known CHECK ((state = 'requires_action') = (asked_at IS NOT NULL)) NOT VALID,
ADD CONSTRAINT a_saved_card_is_not_saved_again CHECK (card IS NULL OR NOT saves_card) NOT VALID;
CREATE INDEX purchase_abandoned ON purchase (expires_at)
WHERE
state IN ('created', 'requires_action', 'failed') AND (payment_intent IS NOT NULL OR checkout_session IS NOT NULL);

ALTER TABLE customer
-- rises with every view of Stripe's of the customer's cards that was applied
ADD COLUMN looks int NOT NULL DEFAULT 0,
-- what Stripe has as the customer's default payment method, under Stripe's id
ADD COLUMN default_method text,
-- when its cards are to be seen to, if nobody does so before; never, if they are as they should be
ADD COLUMN cards_due_at timestamptz;
CREATE INDEX customer_whose_cards_are_due ON customer (cards_due_at) WHERE cards_due_at IS NOT NULL;

-- The intent to save a card: one setup intent at Stripe. What comes of it, is a saved card.
CREATE TABLE card_setup (
    id uuid PRIMARY KEY,
    account uuid NOT NULL,
    livemode boolean NOT NULL,
    user_id uuid NOT NULL,
    state text NOT NULL,
    setup_intent text,
    client_secret text,
    -- the card, under Stripe's id
    method text,
    failure text,
    created_at timestamptz NOT NULL,
    -- until when it is waited for
    expires_at timestamptz NOT NULL,
    -- when the janitor last took it up
    resolved_at timestamptz NOT NULL,
    CONSTRAINT a_setup_has_a_customer FOREIGN KEY (account, livemode) REFERENCES customer (account, livemode),
    CONSTRAINT state_is_known CHECK (
        state IN ('created', 'unknown', 'requires_action', 'processing', 'failed', 'succeeded', 'canceled')
    ),
    CONSTRAINT what_succeeded_names_its_card CHECK (state <> 'succeeded' OR method IS NOT NULL),
    CONSTRAINT a_secret_is_kept_only_to_go_on CHECK (
        client_secret IS NULL OR state NOT IN ('succeeded', 'canceled')
    ),
    CONSTRAINT a_setup_intent_is_of_one_setup UNIQUE (setup_intent)
);
CREATE INDEX card_setup_open ON card_setup (account) WHERE state NOT IN ('succeeded', 'canceled');
CREATE INDEX card_setup_unresolved ON card_setup (resolved_at) WHERE state NOT IN ('succeeded', 'canceled');
GRANT SELECT, INSERT, UPDATE ON card_setup TO app_role;

-- A card that Stripe keeps for a customer, as Stripe showed it last. Of its number only the last digits are ever known.
CREATE TABLE saved_card (
    id uuid PRIMARY KEY,
    account uuid NOT NULL,
    livemode boolean NOT NULL,
    method text NOT NULL,
    state text NOT NULL,
    brand text NOT NULL,
    last4 text NOT NULL,
    exp_month int NOT NULL,
    exp_year int NOT NULL,
    wallet text,
    -- Stripe's word for the card's number, the same however often it is saved
    fingerprint text NOT NULL,
    saved_at timestamptz NOT NULL,
    CONSTRAINT a_card_belongs_to_a_customer FOREIGN KEY (account, livemode) REFERENCES customer (account, livemode),
    CONSTRAINT state_is_known CHECK (state IN ('saved', 'removing', 'removed')),
    CONSTRAINT only_the_last_digits_are_known CHECK (length(last4) <= 4),
    CONSTRAINT a_card_is_recorded_once UNIQUE (method)
);
CREATE UNIQUE INDEX a_card_is_saved_once ON saved_card (account, livemode, fingerprint) WHERE state = 'saved';
CREATE INDEX saved_card_of_account ON saved_card (account) WHERE state <> 'removed';
GRANT SELECT, INSERT, UPDATE ON saved_card TO app_role;
