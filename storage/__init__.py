"""What must survive a crash: bytes in the spool, rows in the database. Knows no DICOM meaning, only UIDs and bytes.

spool.py part.py results.py             files: durable once the call returns
durable.py direct.py assistant.py       what the operating system promises, past its cache, a second core
database.py schema.py migrations/       one writer, readers that cannot write, errors that say what to do
states.py                               the two life cycles, each one table
arrivals.py associations.py waiting.py  what came, and which series have something new
jobs.py joblog.py story.py              what is done about it: changing it, listing it, telling it
outbox.py pauses.py                     results on their way
retention.py                            what is done with is removed
events.py audit.py roles.py             what happened, who did it, who is alive
"""
