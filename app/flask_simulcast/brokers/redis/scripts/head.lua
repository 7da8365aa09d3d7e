-- Return the last position given out.
local ms, n, tag = head()
return id_of(ms, n) .. '-' .. tag
