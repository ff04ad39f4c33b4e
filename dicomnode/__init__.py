"""dicomnode: a CT series comes in by C-STORE; its contrast phase, with the reasons, goes back to the archive.

The way of a series, and where each verb lives:

    receive   reception.py, recorder.py, network/listener.py, network/stream.py   instance -> spool, then Success
              reconciliation.py                              after a crash: spool -> ledger
    assemble  series/assembly.py                                     is the series complete, by what evidence
    analyse   series/volume.py, inference/judge.py, declining.py     slices -> volume -> findings
    compose   results/                                               findings -> SC, SR, checked by the gate
    deliver   network/sender.py, network/stow.py                     outbox -> archive
    confirm   network/commitment.py, network/query.py                the archive says that it keeps them

`pipeline.py` is the page that ties them together, `roles.py` the processes that repeat them, `node.py` the place
where settings become objects. `storage/` holds what must survive a crash; `inference/` knows numbers, not DICOM.
"""

__version__ = "0.1.0"
