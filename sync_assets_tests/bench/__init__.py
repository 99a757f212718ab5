"""`make bench`: how long, at what cost, and beside what a competent engineer would write in an afternoon."""
