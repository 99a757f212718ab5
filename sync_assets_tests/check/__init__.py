"""Each check is made red once, by a real cause where one can be had, and is green where nothing is wrong."""
