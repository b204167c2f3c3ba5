"""Payments owns everything that is money: customers at Stripe, purchases, refunds, vouchers, what Stripe says.

It alone speaks to Stripe. It never holds a balance of credits, never sees a card, and never sends a mail.
"""
