"""The tables, as steps: ``user_version`` counts the steps taken. A released step is never edited."""

STEPS: tuple[tuple[str, ...], ...] = (
    (
        "create table setting (key text primary key, value text not null) without rowid",
        # state: local (the hub has not taken it), synced, conflict (both changed it), refused (the hub cannot store it)
        """create table resource (
               rtype text not null, id text not null, text text not null, hub_version integer,
               state text not null check (state in ('local', 'synced', 'conflict', 'refused')),
               patient text, encounter text, at text not null,
               primary key (rtype, id)
           ) without rowid""",
        "create index resource_of_patient on resource (patient, rtype, at)",
        "create index resource_of_encounter on resource (encounter, rtype, at)",
        "create index resource_by_day on resource (rtype, at)",
        # What the hub has, while the station's own version has not been taken or clashes with it.
        """create table hub_copy (
               rtype text not null, id text not null, version integer not null, text text not null,
               primary key (rtype, id)
           ) without rowid""",
        """create table patient_index (
               id text primary key, name text not null, words text not null, folded text not null,
               toned text not null, bare text not null, sort text not null, sex text, phone text,
               born_from text, born_to text, birth text, deleted integer not null default 0
           ) without rowid""",
        "create table patient_identifier (value text, patient text, system text, primary key (value, patient, system)) "
        "without rowid",
        # autoincrement: a number is never given twice, also after its row was pruned.
        """create table outbox (
               op integer primary key autoincrement, tx integer not null, lane integer not null,
               kind text not null, rtype text not null, id text not null, base integer,
               at text not null, by text not null, text text not null,
               leg text not null default 'waiting'
                   check (leg in ('waiting', 'sent', 'applied', 'conflict', 'quarantined', 'superseded')),
               issues text, attempts integer not null default 0, answered_at text
           )""",
        "create index outbox_unsent on outbox (lane, op) where leg in ('waiting', 'sent')",
        "create index outbox_of_resource on outbox (rtype, id)",
        """create table call (
               id text primary key, encounter text, patient text, asked_at text not null,
               state text not null default 'waiting', view text not null default '{}', rev integer not null default 0
           ) without rowid""",
    ),
    (
        # Bytes on the wire: a day of Vietnam (ISO), a lane, sent and received.
        """create table meter (
               day text not null, lane integer not null, up integer not null, down integer not null,
               primary key (day, lane)
           ) without rowid""",
        # How far a snapshot or another long piece of work is; total is null while nobody knows it.
        """create table progress (
               scope text primary key, done integer not null, total integer, began text not null, at text not null
           ) without rowid""",
    ),
)
