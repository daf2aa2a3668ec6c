"""The programs that jobs run: plain Python in a job folder, with no Django, no database and no network."""
