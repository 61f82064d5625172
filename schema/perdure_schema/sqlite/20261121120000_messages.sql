-- migrate:up

-- What started it from inside a workflow: JSON text with its id, run and command. Null: nothing did.
alter table perdure_instances add column parent text;

-- A row waits until its instance takes it. held: its owner knows of it, and keeps it for later.
-- A message in a competing channel's queue has partition -1 and no instance; queued: it came from there.
alter table perdure_inbox add column channel text not null default '';
alter table perdure_inbox add column key text;
alter table perdure_inbox add column held integer not null default 0;
alter table perdure_inbox add column queued integer not null default 0;

-- (Queues are in it too: SQLite would search by a condition on "partition" here, rather than by the one asked for.)
drop index perdure_inbox_partition;
create index perdure_inbox_partition on perdure_inbox (service, "partition", id) where held = 0;
create index perdure_inbox_held on perdure_inbox (service, instance_id, id) where held = 1;
create index perdure_inbox_queue on perdure_inbox (service, channel, id) where "partition" = -1;
create index perdure_inbox_key on perdure_inbox (service, instance_id, key) where key is not null;
create index perdure_inbox_events on perdure_inbox (service, created_at) where kind = 'event' and held = 1;

-- Channels that ever had a subscriber; competing: what is published waits in a queue, rather than go to everybody.
create table perdure_channels (
  service   text    not null,
  channel   text    not null,
  competing integer not null,
  primary key (service, channel)
) strict, without rowid;

create table perdure_subscriptions (
  service     text not null,
  channel     text not null,
  instance_id text not null,
  mode        text not null,
  primary key (service, channel, instance_id)
) strict, without rowid;

create index perdure_subscriptions_instance on perdure_subscriptions (service, instance_id);

-- Who waits for which event. key: what its type, the paths of its match and the values there come to.
create table perdure_waits (
  service     text    not null,
  key         text    not null,
  instance_id text    not null,
  command     integer not null,
  primary key (service, key, instance_id, command)
) strict, without rowid;

create index perdure_waits_instance on perdure_waits (service, instance_id, command);

-- The sets of paths that were ever waited for with a type: an event gets a key for each.
create table perdure_correlations (
  service text not null,
  type    text not null,
  paths   text not null,
  primary key (service, type, paths)
) strict, without rowid;

-- CloudEvents that were accepted. offered: everybody who waited for it has it.
create table perdure_event_buffer (
  number      integer primary key autoincrement,
  service     text    not null,
  key         text    not null,
  type        text    not null,
  data        text    not null,
  "partition" integer not null,
  target      text,
  starts      text,
  offered     integer not null,
  at          integer not null
) strict;

create index perdure_event_buffer_type on perdure_event_buffer (service, type, number);
create index perdure_event_buffer_time on perdure_event_buffer (service, at) where offered = 1;
create index perdure_event_buffer_unoffered on perdure_event_buffer (service, "partition", number) where offered = 0;

create table perdure_event_keys (
  service text    not null,
  key     text    not null,
  number  integer not null,
  primary key (service, key, number)
) strict, without rowid;

create index perdure_event_keys_number on perdure_event_keys (service, number);

-- What must not be done twice: posts by instance and key, publications by channel, events.
create table perdure_seen (
  service text    not null,
  target  text    not null,
  key     text    not null,
  at      integer not null,
  primary key (service, target, key)
) strict, without rowid;

create index perdure_seen_time on perdure_seen (service, at);

-- Questions of applications, and the answers until they are fetched.
create table perdure_asks (
  service    text    not null,
  id         text    not null,
  answer     text,
  expires_at integer not null,
  primary key (service, id)
) strict, without rowid;

create index perdure_asks_time on perdure_asks (service, expires_at);

-- Runs that came to their end with recur; their events stay where they are.
create table perdure_runs (
  service     text    not null,
  instance_id text    not null,
  run         integer not null,
  ended_at    integer not null,
  primary key (service, instance_id, run)
) strict, without rowid;

create index perdure_runs_time on perdure_runs (service, ended_at);
create index perdure_instances_ended on perdure_instances (service, ended_at) where ended_at is not null;

-- migrate:down

drop table perdure_runs;
drop table perdure_asks;
drop table perdure_seen;
drop table perdure_event_keys;
drop table perdure_event_buffer;
drop table perdure_correlations;
drop table perdure_waits;
drop table perdure_subscriptions;
drop table perdure_channels;
drop index perdure_instances_ended;
drop index perdure_inbox_partition;
drop index perdure_inbox_held;
drop index perdure_inbox_queue;
drop index perdure_inbox_key;
drop index perdure_inbox_events;
delete from perdure_inbox where "partition" = -1;
create index perdure_inbox_partition on perdure_inbox (service, "partition", id);
alter table perdure_inbox drop column queued;
alter table perdure_inbox drop column held;
alter table perdure_inbox drop column key;
alter table perdure_inbox drop column channel;
alter table perdure_instances drop column parent;
