"""A recording in the terms of the contracts: its calls, their values, whom they are about, and their answers."""
