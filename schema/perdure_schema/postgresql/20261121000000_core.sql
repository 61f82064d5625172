-- migrate:up

-- wake_at has two values that are no times: 1970-01-01 00:00:00 UTC means now, and a microsecond
-- before it means stuck. Payloads are JSON text, stored byte for byte as they were given; jsonb would
-- reorder keys and rewrite numbers.

-- The truth. Everything else in this file can be worked out from it.
-- (instance, run, seq) being the primary key is what keeps two writers apart.
create table perdure_events (
  service     text collate "C" not null,
  instance_id text collate "C" not null,
  run         integer          not null,
  seq         bigint           not null,
  kind        text collate "C" not null,
  command     bigint,
  name        text             not null,
  at          timestamptz      not null,
  commit_id   bigint           not null,
  data        json             not null,
  primary key (service, instance_id, run, seq)
);

-- One row an instance: what its stream comes to.
-- wake_at: null = only a message can move it; else its earliest deadline, or one of the two values above.
-- listeners: processes to notify of its end, by the names of their channels.
create table perdure_instances (
  service          text collate "C" not null,
  id               text collate "C" not null,
  workflow         text collate "C" not null,
  version          text,
  "partition"      integer          not null,
  run              integer          not null,
  status           text collate "C" not null,
  wake_at          timestamptz,
  cancel_requested json,
  created_at       timestamptz      not null,
  ended_at         timestamptz,
  error            json,
  listeners        text[],
  primary key (service, id)
) with (fillfactor = 80);

create index perdure_instances_due on perdure_instances (service, "partition", wake_at, id)
  where wake_at is not null;
create index perdure_instances_recent on perdure_instances (service, created_at, id);
create index perdure_instances_ended_badly on perdure_instances (service, status, created_at, id)
  where status in ('failed', 'cancelled', 'compensating', 'stuck');

-- Requests of processes that do not own the instance; the owner takes them out as it acts on them.
create table perdure_inbox (
  id          bigint generated always as identity primary key,
  service     text collate "C" not null,
  "partition" integer          not null,
  instance_id text collate "C" not null,
  kind        text collate "C" not null,
  data        json             not null,
  created_at  timestamptz      not null
) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

create index perdure_inbox_partition on perdure_inbox (service, "partition", id);

-- Who writes. The epoch goes up with every change of owner; each commit locks it, and checks it.
create table perdure_partitions (
  service     text collate "C" not null,
  "partition" integer          not null,
  owner       text collate "C",
  epoch       bigint           not null,
  primary key (service, "partition")
) with (fillfactor = 50);

-- One lease a worker process covers all its partitions; beats goes up with every renewal.
create table perdure_workers (
  service    text collate "C" not null,
  id         text collate "C" not null,
  beats      bigint           not null,
  expires_at timestamptz      not null,
  workflows  json             not null,
  primary key (service, id)
) with (fillfactor = 50);

-- migrate:down

drop table perdure_workers;
drop table perdure_partitions;
drop table perdure_inbox;
drop table perdure_instances;
drop table perdure_events;
