"""Amounts in minor units: which currencies there are, how small a payment may be, what Stripe keeps of it."""

# fmt: off
CURRENCIES = frozenset({
    "usd", "aed", "afn", "all", "amd", "ang", "aoa", "ars", "aud", "awg", "azn", "bam", "bbd", "bdt", "bgn", "bhd",
    "bif", "bmd", "bnd", "bob", "brl", "bsd", "bwp", "byn", "bzd", "cad", "cdf", "chf", "clp", "cny", "cop", "crc",
    "cve", "czk", "djf", "dkk", "dop", "dzd", "egp", "etb", "eur", "fjd", "fkp", "gbp", "gel", "gip", "gmd", "gnf",
    "gtq", "gyd", "hkd", "hnl", "htg", "huf", "idr", "ils", "inr", "isk", "jmd", "jod", "jpy", "kes", "kgs", "khr",
    "kmf", "krw", "kwd", "kyd", "kzt", "lak", "lbp", "lkr", "lrd", "lsl", "mad", "mdl", "mga", "mkd", "mmk", "mnt",
    "mop", "mro", "mur", "mvr", "mwk", "mxn", "myr", "mzn", "nad", "ngn", "nio", "nok", "npr", "nzd", "omr", "pab",
    "pen", "pgk", "php", "pkr", "pln", "pyg", "qar", "ron", "rsd", "rub", "rwf", "sar", "sbd", "scr", "sek", "sgd",
    "shp", "sle", "sos", "srd", "std", "szl", "thb", "tjs", "tnd", "top", "try", "ttd", "twd", "tzs", "uah", "ugx",
    "uyu", "uzs", "vnd", "vuv", "wst", "xaf", "xcd", "xcg", "xof", "xpf", "yer", "zar", "zmw",
})
WITHOUT_DECIMALS = frozenset({
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf",
})
WITH_THREE_DECIMALS = frozenset({
    "bhd", "jod", "kwd", "omr", "tnd",
})
IN_WHOLE_UNITS = frozenset({"isk", "ugx"})
# fmt: on
"""The last two are paid in whole units, and written with two decimals that must be 00."""

SMALLEST = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50,
    "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50,
    "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip
"""The smallest charge, by Stripe's published table; other currencies must only be positive here."""

LARGEST = 99_999_999

DISPUTE_FEE = 1500
"""What Stripe keeps of every dispute, whoever wins it: 15 dollars, here 1,500 minor units of any currency."""


def decimals(currency: str) -> int:
    """Say how many digits a currency has after the point."""
    if currency in WITHOUT_DECIMALS:
        return 0
    return 3 if currency in WITH_THREE_DECIMALS else 2


def shown(amount_minor: int, currency: str) -> str:
    """Write an amount for people: 1999 usd is "19.99 usd"."""
    places = decimals(currency)
    if places == 0:
        return f"{amount_minor} {currency}"
    whole, rest = divmod(abs(amount_minor), 10**places)
    return f"{'-' if amount_minor < 0 else ''}{whole}.{rest:0{places}} {currency}"


def fee(amount_minor: int) -> int:
    """Say what Stripe keeps of a charge: 2.9 % rounded half up, plus 30, never more than the charge."""
    return min(amount_minor, (amount_minor * 29 + 500) // 1000 + 30)
