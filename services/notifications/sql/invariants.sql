-- Each query returns no row when all is well.

-- name: No message waits for a contact that is known
SELECT delivery.id, delivery.template, delivery.business_key
FROM delivery
INNER JOIN contact ON delivery.account_id = contact.account_id AND delivery.user_id = contact.user_id
WHERE delivery.state = 'waiting_for_contact';

-- name: Whatever is to be sent has somebody to go to
SELECT delivery.id, delivery.template, delivery.business_key
FROM delivery
LEFT JOIN contact ON delivery.account_id = contact.account_id AND delivery.user_id = contact.user_id
WHERE delivery.state = 'pending' AND contact.user_id IS NULL AND delivery.recipient_email IS NULL;

-- name: Nobody was told of a refund larger than what he paid
SELECT id, business_key, facts
FROM delivery
WHERE
    template = 'refund'
    AND (
        (facts -> 'refunded' ->> 'amount_minor')::bigint > (facts -> 'paid' ->> 'amount_minor')::bigint
        OR (facts -> 'amount' ->> 'amount_minor')::bigint > (facts -> 'refunded' ->> 'amount_minor')::bigint
    );

-- name: What was sent or given up was tried
SELECT id, template, business_key, state
FROM delivery
WHERE state IN ('sent', 'failed') AND attempts = 0;

-- name: No message to somebody else waits for its buyer's contact
SELECT id, template, business_key
FROM delivery
WHERE state = 'waiting_for_contact' AND recipient_email IS NOT NULL;
