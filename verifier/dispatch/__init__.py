"""The dispatcher: cuts tasks into chunks, has the engine ask, writes verdicts, and loses none when a process dies."""
