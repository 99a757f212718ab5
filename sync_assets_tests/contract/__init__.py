"""What every entity of every system must keep; a new entity inherits all of it by being declared."""
