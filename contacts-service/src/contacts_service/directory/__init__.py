"""The directory's copy in memory: a filter that drops almost every number that is not a member's."""
