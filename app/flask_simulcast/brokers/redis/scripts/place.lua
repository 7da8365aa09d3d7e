-- Return the place of a connected listener. ARGV: listener.
local place = place_of(ARGV[3])
if place and is_connected(place) then
  return place.text
end
return false
