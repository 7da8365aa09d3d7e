-- Return the facts of a run. ARGV: id.
return facts_of(ARGV[3])
