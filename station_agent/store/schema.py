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
        # Records of which two versions wait for a decision: what the open Tasks of ``protocol.sync.reviews`` say.
        """create table review (
               task text primary key, rtype text not null, id text not null, urgent integer not null,
               since text not null
           ) without rowid""",
        "create index review_of_record on review (rtype, id)",
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
    (
        # source: made here, or handed down by the hub. pin: argon2id, null until somebody gives one.
        """create table staff (
               id text primary key, name text not null, lead integer not null default 0,
               active integer not null default 1, pin text, must_change integer not null default 0,
               failures integer not null default 0, locked_until text,
               source text not null check (source in ('station', 'hub')), made_at text not null, made_by text not null
           ) without rowid""",
        # Who came, who was refused, who changed an account. Never what somebody typed.
        """create table staff_event (
               number integer primary key, at text not null, who text not null, what text not null, about text not null
            )""",
    ),
    (
        # Bytes of attachments. leg: waiting (the hub does not have them all), sent, refused, fetched (came from the
        # hub). bytes is null when they were forgotten here and can be fetched again.
        """create table file (
               document text primary key, patient text not null, digest text not null, type text not null,
               size integer not null, bytes blob, leg text not null
                   check (leg in ('waiting', 'sent', 'refused', 'fetched')),
               upload text, sent integer not null default 0, problem text, added_at text not null
           ) without rowid""",
        "create index file_waiting on file (added_at) where leg = 'waiting'",
        # What was said by SMS because the link did not carry it. leg: sending, sent, answered, failed.
        """create table sms (
               counter integer primary key, call text not null, kind text not null, text text not null,
               leg text not null default 'sending' check (leg in ('sending', 'sent', 'answered', 'failed')),
               reference text, status text, words text, tries integer not null default 0, at text not null,
               unique (call, kind)
           )""",
    ),
    (
        # A batch as it left: the compressed frames, byte for byte, and the signature over them. state: made (no answer
        # yet), taken (durable at the hub, not all answered), settled. Kept a while: a restored hub asks for them again.
        """create table batch (
               id integer primary key autoincrement, epoch text not null, lane integer not null, seq integer not null,
               body blob not null, coding text not null, signature text not null,
               state text not null default 'made' check (state in ('made', 'taken', 'settled')),
               made_at text not null, asked_at text, settled_at text, unique (epoch, lane, seq)
           )""",
        "create index batch_open on batch (lane, seq) where state <> 'settled'",
        "alter table outbox add column batch integer",
        # What the hub last said of an operation that is not settled (deferred), or how it settled it (merged).
        "alter table outbox add column outcome text",
        # Whom it is about, also when the copy has left: what is to be erased is found by it.
        "alter table outbox add column patient text",
        "create index outbox_of_patient on outbox (patient) where patient is not null",
        "create index outbox_of_batch on outbox (batch) where batch is not null",
        "create index outbox_open on outbox (rtype, id, op) "
        "where leg in ('waiting', 'sent', 'conflict', 'quarantined')",
        # What this station holds of each scope, and how far; sum is 16 hexadecimal digits. suspect: it differs from
        # the hub's; restored: the hub has forgotten what it once knew.
        """create table scope (
               name text primary key, cursor integer not null default 0, count integer not null default 0,
               sum text not null default '0000000000000000', suspect integer not null default 0,
               restored integer not null default 0
           ) without rowid""",
        """create table held (
               scope text not null, rtype text not null, id text not null, version integer not null,
               primary key (scope, rtype, id)
           ) without rowid""",
        # Left every scope while the station had still something to say about it.
        "create table leaving (rtype text not null, id text not null, primary key (rtype, id)) without rowid",
        # Gone while a snapshot that may still hold it is on its way.
        """create table gone (
               scope text not null, rtype text not null, id text not null, primary key (scope, rtype, id)
           ) without rowid""",
        # A patient to be erased. state: told, erased (the receipt is in erased), wiped (no page holds a rest of it).
        """create table purge (
               scope text not null, seq integer not null, patient text not null,
               state text not null default 'told' check (state in ('told', 'erased', 'wiped')),
               erased integer, receipt text, primary key (scope, seq)
           ) without rowid""",
        """create table snapshot (
               scope text primary key, as_of integer not null, url text not null, total integer
           ) without rowid""",
        """create table segment (
               scope text not null, n integer not null, sha256 text not null, bytes integer not null,
               records integer not null, part blob not null default x'', done integer not null default 0,
               primary key (scope, n)
           ) without rowid""",
    ),
)
