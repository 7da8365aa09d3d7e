-- Check a worker out. ARGV: worker, ms of the grace.
end_worker(ARGV[3], mono + ARGV[4])
return 0
