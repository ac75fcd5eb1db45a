"""The catalogue: every cause that a person may have to mend, declared once, and its page in the documentation."""
