-- Redeemed vouchers and gift cards are compared with the ledger.

-- What was last told to be gone of a redeemed gift card, in total, so that it can be told again as it was.
ALTER TABLE voucher
ADD COLUMN taken_back bigint,
ADD COLUMN taken_back_revision int,
ADD COLUMN taken_back_at timestamptz,
ADD CONSTRAINT what_is_taken_back_was_told_once CHECK (
    (taken_back IS NULL) = (taken_back_revision IS NULL) AND (taken_back IS NULL) = (taken_back_at IS NULL)
) NOT VALID,
ADD CONSTRAINT only_redeemed_gift_cards_are_taken_back CHECK (
    taken_back IS NULL OR (redeemed_at IS NOT NULL AND purchase IS NOT NULL AND taken_back BETWEEN 0 AND credits)
) NOT VALID;

-- Until now it was not noted under which revision: those that banks hold are told once more, under the last there is.
UPDATE voucher AS v
SET
    taken_back = div(v.credits::numeric * p.withdrawn_minor, p.amount_minor),
    taken_back_revision = p.revision,
    taken_back_at = (SELECT max(d.changed_at) FROM dispute AS d WHERE d.purchase = p.id)
FROM purchase AS p
WHERE p.id = v.purchase AND v.redeemed_at IS NOT NULL AND p.withdrawn_minor > 0;

-- By when the ledger was last told of it.
CREATE INDEX voucher_by_telling ON voucher ((coalesce(taken_back_at, redeemed_at)), id) WHERE redeemed_at IS NOT NULL;

-- What is compared grows, and what was known stays so.
ALTER TABLE reconciliation
-- squawk-ignore ban-drop-constraint
DROP CONSTRAINT what_is_known,
ADD CONSTRAINT what_is_known CHECK (what IN ('movements', 'events', 'purchases', 'vouchers', 'lots')) NOT VALID;
