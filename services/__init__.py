"""The four services. They meet only through `libs.contracts`."""
