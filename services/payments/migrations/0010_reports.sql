-- What finance asks of the money that moved: each movement with what was sold by its purchase. What is of a sale as a
-- whole stands with the payment alone, so that everything may be summed.
CREATE VIEW sale_movement AS
SELECT
    m.id, m.kind, m.moved_at, m.source, m.payment_intent, p.id AS purchase, p.account, p.livemode, m.currency,
    m.amount_minor, m.settled_in, m.net_minor + m.fee_minor AS settled_minor, m.fee_minor AS fees_minor, m.net_minor,
    CASE WHEN g.id IS NOT NULL THEN 'gift_card' WHEN p.pack IS NOT NULL THEN 'pack' ELSE 'custom_amount' END
        AS product_kind,
    coalesce(g.product, p.pack) AS product, r.code AS promo_code,
    CASE m.kind WHEN 'charge' THEN m.amount_minor ELSE 0 END AS gross_minor,
    CASE m.kind WHEN 'charge' THEN coalesce(r.discount_minor, 0) ELSE 0 END AS discount_minor,
    CASE m.kind WHEN 'charge' THEN p.credits + p.bonus ELSE 0 END AS credits,
    CASE m.kind WHEN 'charge' THEN coalesce(r.bonus, 0) ELSE 0 END AS bonus_credits,
    CASE m.kind WHEN 'refund' THEN -m.amount_minor ELSE 0 END AS refunded_minor,
    CASE m.kind WHEN 'refund_failure' THEN m.amount_minor ELSE 0 END AS refund_failed_minor,
    CASE m.kind WHEN 'dispute' THEN -m.amount_minor ELSE 0 END AS withdrawn_minor,
    CASE m.kind WHEN 'dispute_reversal' THEN m.amount_minor ELSE 0 END AS reinstated_minor
FROM movement AS m
INNER JOIN purchase AS p ON p.payment_intent = m.payment_intent
LEFT JOIN gift_card AS g ON g.purchase = p.id
LEFT JOIN promo_redemption AS r ON r.purchase = p.id AND r.state = 'redeemed';
GRANT SELECT ON sale_movement TO app_role;

-- What was paid for gift cards, when they were sold, and when they were redeemed or made void.
CREATE VIEW gift_card_movement AS
SELECT p.livemode, v.currency, became.at, became.sold_minor, became.redeemed_minor, became.voided_minor
FROM voucher AS v
INNER JOIN purchase AS p ON p.id = v.purchase
CROSS JOIN LATERAL (
    VALUES
    (v.issued_at, v.cost_minor, 0, 0), (v.redeemed_at, 0, v.cost_minor, 0), (v.voided_at, 0, 0, v.cost_minor)
) AS became (at, sold_minor, redeemed_minor, voided_minor)
WHERE v.purchase IS NOT NULL AND became.at IS NOT NULL;
GRANT SELECT ON gift_card_movement TO app_role;

CREATE INDEX voucher_paid ON voucher (issued_at) WHERE purchase IS NOT NULL;
CREATE INDEX failed_attempt_in_time ON failed_attempt (recorded_at);
