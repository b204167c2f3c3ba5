"""Services of other teams, as they would write them: they know of Scrip what `libs/contracts` tells, and no more."""
