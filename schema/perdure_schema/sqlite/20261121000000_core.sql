-- migrate:up

-- Times are microseconds since 1970-01-01 UTC: select datetime(at / 1000000, 'unixepoch') ...
-- Payloads are JSON text, stored byte for byte as they were given.

-- The truth. Everything else in this file can be worked out from it.
-- (instance, run, seq) being the primary key is what keeps two writers apart.
create table perdure_events (
  service     text    not null,
  instance_id text    not null,
  run         integer not null,
  seq         integer not null,
  kind        text    not null,
  command     integer,
  name        text    not null,
  at          integer not null,
  commit_id   integer not null,
  data        text    not null,
  primary key (service, instance_id, run, seq)
) strict, without rowid;

-- One row an instance: what its stream comes to.
-- wake_at: null = only a message can move it; 0 = work is due now; -1 = stuck,
-- for whoever takes it over to try again; else its earliest deadline.
create table perdure_instances (
  service          text    not null,
  id               text    not null,
  workflow         text    not null,
  version          text,
  "partition"      integer not null,
  run              integer not null,
  status           text    not null,
  wake_at          integer,
  cancel_requested text,
  created_at       integer not null,
  ended_at         integer,
  error            text,
  primary key (service, id)
) strict, without rowid;

create index perdure_instances_due on perdure_instances (service, "partition", wake_at)
  where wake_at is not null;
create index perdure_instances_recent on perdure_instances (service, created_at, id);
create index perdure_instances_ended_badly on perdure_instances (service, status, created_at, id)
  where status in ('failed', 'cancelled', 'compensating', 'stuck');

-- Requests of processes that do not own the instance; the owner takes them out as it acts on them.
create table perdure_inbox (
  id          integer primary key autoincrement,
  service     text    not null,
  "partition" integer not null,
  instance_id text    not null,
  kind        text    not null,
  data        text    not null,
  created_at  integer not null
) strict;

create index perdure_inbox_partition on perdure_inbox (service, "partition", id);

-- Who writes. The epoch goes up with every change of owner; each commit checks it.
create table perdure_partitions (
  service     text    not null,
  "partition" integer not null,
  owner       text,
  epoch       integer not null,
  primary key (service, "partition")
) strict, without rowid;

-- One lease a worker process covers all its partitions; beats goes up with every renewal.
create table perdure_workers (
  service    text    not null,
  id         text    not null,
  beats      integer not null,
  expires_at integer not null,
  workflows  text    not null,
  primary key (service, id)
) strict, without rowid;

-- migrate:down

drop table perdure_workers;
drop table perdure_partitions;
drop table perdure_inbox;
drop table perdure_instances;
drop table perdure_events;
