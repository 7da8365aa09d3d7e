"""Every code block of README.md, docs/*.md, the wheel's README and examples/README.md, run as a reader would paste it.

To add a block to a page: fence it, with a language of `languages.py`, and take it in the page's test module:
``NEW = PAGE.take("The heading above it", "python")``. Blocks below one heading are taken from the top. Then run it:

- Python is pasted, below the blocks that it builds on, into the app.py of an empty folder: ``app_reader(folder, app=program(FIRST, NEW))``.
- Shell is pasted into bash in that folder, or in a copy of the repository: ``service_reader``. Of a command only the port is another one.
- JavaScript goes into a page of a real browser.
- What a page shows of an answer is compared with the real one: `likeness.py`.

Where the page has a placeholder, or an address that is not here, ``block.replaced({"…": token})`` says so in the test.
A block that does not run as it stands is mended on the page, by what its reader would have to add. One that can't be run stands in `untried.py`.
"""
