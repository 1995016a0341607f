"""What the studio is about, without Qt: jobs, sizes, the request being edited and what it will take."""
