"""What can go wrong with what must survive a crash: an exception class is a decision.

    StorageError
    ├── NotAUid                   text that would become a path is not a UID: refuse the instance
    ├── SpoolError
    │   ├── SpoolFull             no room: tell the peer "out of resources", go on once there is room
    │   └── SpoolUnwritable       the folder cannot be written at all: an administrator must look
    ├── DatabaseError
    │   ├── DatabaseMissing       no database there yet: migrate it
    │   ├── DatabaseOutdated      its tables are not those of this version: migrate it
    │   ├── DatabaseLocked        another process held it for longer than the busy time-out: try again
    │   ├── DatabaseFull          the disk is full: go on once there is room
    │   ├── DatabaseUnwritable    the file or its folder is read-only: an administrator must look
    │   ├── DatabaseCorrupt       the file is torn or is no database: restore it or move it away
    │   └── DatabaseRefused       a constraint was violated: a fault in the program
    ├── WrongTransition           a life cycle has no such step: see storage.states
    ├── NotFound                  there is no row of that number
    └── LeaseLost                 the job meanwhile belongs to someone else: drop what was made of it

Foreign errors (OSError, SQLAlchemy) are translated where they arise: `storage.durable.translated` and
`storage.database.translated`.
"""


class StorageError(Exception):
    """Base of all errors of this package."""


class NotAUid(StorageError, ValueError):
    """A text is not shaped like a UID (PS3.5 9.1), so it must not become a path."""


class SpoolError(StorageError):
    """A file could not be kept."""


class SpoolFull(SpoolError):
    """No room on the disk, or a quota is used up."""


class SpoolUnwritable(SpoolError):
    """The folder is read-only, not ours, or its disk fails."""


class DatabaseError(StorageError):
    """The database did not do what was asked."""


class DatabaseMissing(DatabaseError):
    """There is no database file."""


class DatabaseOutdated(DatabaseError):
    """The tables are not those of this version of the program."""


class DatabaseLocked(DatabaseError):
    """Another process held the database for longer than the busy time-out."""


class DatabaseFull(DatabaseError):
    """The disk that holds the database is full."""


class DatabaseUnwritable(DatabaseError):
    """The database file or its folder is read-only."""


class DatabaseCorrupt(DatabaseError):
    """The file is torn off, damaged, or not a database."""


class DatabaseRefused(DatabaseError):
    """A constraint of the schema was violated."""


class WrongTransition(StorageError):
    """A life cycle has no such step from the state it is in."""


class NotFound(StorageError, LookupError):
    """No row of that number."""


class LeaseLost(StorageError):
    """The job was taken away from its owner, because the lease ran out."""
