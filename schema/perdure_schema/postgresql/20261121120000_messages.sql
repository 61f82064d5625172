-- migrate:up

-- What started it from inside a workflow: JSON text with its id, run and command. Null: nothing did.
alter table perdure_instances add column parent json;

-- A row waits until its instance takes it. held: its owner knows of it, and keeps it for later.
-- A message in a competing channel's queue has partition -1 and no instance; queued: it came from there.
alter table perdure_inbox
  add column channel text collate "C" not null default '',
  add column key     text collate "C",
  add column held    boolean not null default false,
  add column queued  boolean not null default false;

-- (With the queues in it: so who cannot be told finds the newest message of all queues at once.)
drop index perdure_inbox_partition;
create index perdure_inbox_partition on perdure_inbox (service, "partition", id) where not held;
create index perdure_inbox_held on perdure_inbox (service, instance_id, id) where held;
create index perdure_inbox_queue on perdure_inbox (service, channel, id) where "partition" = -1;
create index perdure_inbox_key on perdure_inbox (service, instance_id, key) where key is not null;
create index perdure_inbox_events on perdure_inbox (service, created_at) where kind = 'event' and held;

-- Channels that ever had a subscriber; competing: what is published waits in a queue, rather than go to everybody.
create table perdure_channels (
  service   text collate "C" not null,
  channel   text collate "C" not null,
  competing boolean          not null,
  primary key (service, channel)
);

create table perdure_subscriptions (
  service     text collate "C" not null,
  channel     text collate "C" not null,
  instance_id text collate "C" not null,
  mode        text collate "C" not null,
  primary key (service, channel, instance_id)
);

create index perdure_subscriptions_instance on perdure_subscriptions (service, instance_id);

-- Who waits for which event. key: what its type, the paths of its match and the values there come to.
create table perdure_waits (
  service     text collate "C" not null,
  key         text collate "C" not null,
  instance_id text collate "C" not null,
  command     bigint           not null,
  primary key (service, key, instance_id, command)
);

create index perdure_waits_instance on perdure_waits (service, instance_id, command);

-- The sets of paths that were ever waited for with a type: an event gets a key for each.
create table perdure_correlations (
  service text collate "C" not null,
  type    text collate "C" not null,
  paths   text collate "C" not null,
  primary key (service, type, paths)
);

-- CloudEvents that were accepted. offered: everybody who waited for it has it.
create table perdure_event_buffer (
  number      bigint generated always as identity primary key,
  service     text collate "C" not null,
  key         text collate "C" not null,
  type        text collate "C" not null,
  data        json             not null,
  "partition" integer          not null,
  target      text collate "C",
  starts      json,
  offered     boolean          not null,
  at          timestamptz      not null
);

create index perdure_event_buffer_type on perdure_event_buffer (service, type, number);
create index perdure_event_buffer_time on perdure_event_buffer (service, at) where offered;
create index perdure_event_buffer_unoffered on perdure_event_buffer (service, "partition", number) where not offered;

create table perdure_event_keys (
  service text collate "C" not null,
  key     text collate "C" not null,
  number  bigint           not null,
  primary key (service, key, number)
);

create index perdure_event_keys_number on perdure_event_keys (service, number);

-- What must not be done twice: posts by instance and key, publications by channel, events.
create table perdure_seen (
  service text collate "C" not null,
  target  text collate "C" not null,
  key     text collate "C" not null,
  at      timestamptz      not null,
  primary key (service, target, key)
);

create index perdure_seen_time on perdure_seen (service, at);

-- Questions of applications, and the answers until they are fetched.
-- listeners: processes to notify of the answer, by the names of their channels.
create table perdure_asks (
  service    text collate "C" not null,
  id         text collate "C" not null,
  answer     json,
  expires_at timestamptz      not null,
  listeners  text[],
  primary key (service, id)
);

create index perdure_asks_time on perdure_asks (service, expires_at);

-- Runs that came to their end with recur; their events stay where they are.
create table perdure_runs (
  service     text collate "C" not null,
  instance_id text collate "C" not null,
  run         integer          not null,
  ended_at    timestamptz      not null,
  primary key (service, instance_id, run)
);

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
alter table perdure_inbox drop column queued, drop column held, drop column key, drop column channel;
create index perdure_inbox_partition on perdure_inbox (service, "partition", id);
alter table perdure_instances drop column parent;
