/** On a phone the names of the pages are a line that scrolls: the present one is in sight. */

const [line, place] = [document.querySelector(".places"), document.querySelector(".places [aria-current]")];
if (place) line.scrollLeft = place.offsetLeft - (line.clientWidth - place.offsetWidth) / 2;
