"""Pictures drawn by many machines, recorded by one: a Ray cluster draws what the jobs of this studio ask for.

    door.opened(home, pool)     a front door whose jobs are drawn elsewhere; everything else about it is the same
    fleet.elastic(pool)         machines whose number follows what is asked for, for the API

The machine with the records takes jobs from the line, sends each to a machine (`order.Order`), and signs and keeps what
comes back (`remote.RemoteRunner`). A machine keeps nothing (`drawer.Drawer`): one that is gone has lost nothing but its
time, and a picture is recorded in one place only, so that none is there twice. Ray is optional.
"""
