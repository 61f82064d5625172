-- migrate:up

-- MySQL knows no `add column if not exists`: what an ALTER TABLE adds is looked up before. Each of them is atomic,
-- so that one column tells of all.

-- What started it from inside a workflow: JSON text with its id, run and command. Null: nothing did.
set @perdure_ddl = if(
  exists (select 1 from information_schema.columns
    where table_schema = database() and table_name = 'perdure_instances' and column_name = 'parent'),
  'do 0',
  'alter table perdure_instances add column parent longtext, add index perdure_instances_ended (service, ended_at)');
prepare perdure_ddl from @perdure_ddl;
execute perdure_ddl;
deallocate prepare perdure_ddl;

-- A row waits until its instance takes it. held: its owner knows of it, and keeps it for later.
-- A message in a competing channel's queue has partition -1 and no instance; queued: it came from there.
set @perdure_ddl = if(
  exists (select 1 from information_schema.columns
    where table_schema = database() and table_name = 'perdure_inbox' and column_name = 'queued'),
  'do 0',
  'alter table perdure_inbox
    add column channel varbinary(255) not null default '''',
    add column `key` varbinary(255),
    add column held tinyint not null default 0,
    add column queued tinyint not null default 0,
    drop index perdure_inbox_partition,
    add index perdure_inbox_partition (service, held, `partition`, id),
    add index perdure_inbox_held (service, instance_id, held, id),
    add index perdure_inbox_queue (service, channel, `partition`, id),
    add index perdure_inbox_key (service, instance_id, `key`),
    add index perdure_inbox_events (service, kind, held, created_at)');
prepare perdure_ddl from @perdure_ddl;
execute perdure_ddl;
deallocate prepare perdure_ddl;

-- Channels that ever had a subscriber; competing: what is published waits in a queue, rather than go to everybody.
create table if not exists perdure_channels (
  service   varbinary(255) not null,
  channel   varbinary(255) not null,
  competing tinyint        not null,
  primary key (service, channel)
) engine = InnoDB row_format = dynamic character set utf8mb4 collate utf8mb4_bin;

create table if not exists perdure_subscriptions (
  service     varbinary(255) not null,
  channel     varbinary(255) not null,
  instance_id varbinary(255) not null,
  mode        varbinary(32)  not null,
  primary key (service, channel, instance_id),
  index perdure_subscriptions_mode (service, channel, mode, instance_id),
  index perdure_subscriptions_instance (service, instance_id)
) engine = InnoDB row_format = dynamic character set utf8mb4 collate utf8mb4_bin;

-- Who waits for which event. key: what its type, the paths of its match and the values there come to.
create table if not exists perdure_waits (
  service     varbinary(255) not null,
  `key`       varbinary(255) not null,
  instance_id varbinary(255) not null,
  command     bigint         not null,
  primary key (service, `key`, instance_id, command),
  index perdure_waits_instance (service, instance_id, command)
) engine = InnoDB row_format = dynamic character set utf8mb4 collate utf8mb4_bin;

-- The sets of paths that were ever waited for with a type: an event gets a key for each.
create table if not exists perdure_correlations (
  service varbinary(255)  not null,
  type    varbinary(512)  not null,
  paths   varbinary(2048) not null,
  primary key (service, type, paths)
) engine = InnoDB row_format = dynamic character set utf8mb4 collate utf8mb4_bin;

-- CloudEvents that were accepted. offered: everybody who waited for it has it.
create table if not exists perdure_event_buffer (
  number      bigint         not null auto_increment primary key,
  service     varbinary(255) not null,
  `key`       varbinary(255) not null,
  type        varbinary(512) not null,
  data        longtext       not null,
  `partition` bigint         not null,
  target      varbinary(255),
  starts      longtext,
  offered     tinyint        not null,
  at          datetime(6)    not null,
  index perdure_event_buffer_type (service, type, number),
  index perdure_event_buffer_time (service, offered, at),
  index perdure_event_buffer_unoffered (service, offered, `partition`, number)
) engine = InnoDB row_format = dynamic character set utf8mb4 collate utf8mb4_bin;

create table if not exists perdure_event_keys (
  service varbinary(255) not null,
  `key`   varbinary(255) not null,
  number  bigint         not null,
  primary key (service, `key`, number),
  index perdure_event_keys_number (service, number)
) engine = InnoDB row_format = dynamic character set utf8mb4 collate utf8mb4_bin;

-- What must not be done twice: posts by instance and key, publications by a line feed and channel, events.
create table if not exists perdure_seen (
  service varbinary(255) not null,
  target  varbinary(256) not null,
  `key`   varbinary(255) not null,
  at      datetime(6)    not null,
  primary key (service, target, `key`),
  index perdure_seen_time (service, at)
) engine = InnoDB row_format = dynamic character set utf8mb4 collate utf8mb4_bin;

-- Questions of applications, and the answers until they are fetched.
create table if not exists perdure_asks (
  service    varbinary(255) not null,
  id         varbinary(255) not null,
  answer     longtext,
  expires_at datetime(6)    not null,
  primary key (service, id),
  index perdure_asks_time (service, expires_at)
) engine = InnoDB row_format = dynamic character set utf8mb4 collate utf8mb4_bin;

-- Runs that came to their end with recur; their events stay where they are.
create table if not exists perdure_runs (
  service     varbinary(255) not null,
  instance_id varbinary(255) not null,
  run         bigint         not null,
  ended_at    datetime(6)    not null,
  primary key (service, instance_id, run),
  index perdure_runs_time (service, ended_at)
) engine = InnoDB row_format = dynamic character set utf8mb4 collate utf8mb4_bin;

-- migrate:down

drop table if exists perdure_runs;
drop table if exists perdure_asks;
drop table if exists perdure_seen;
drop table if exists perdure_event_keys;
drop table if exists perdure_event_buffer;
drop table if exists perdure_correlations;
drop table if exists perdure_waits;
drop table if exists perdure_subscriptions;
drop table if exists perdure_channels;

delete from perdure_inbox where `partition` = -1;
set @perdure_ddl = if(
  exists (select 1 from information_schema.columns
    where table_schema = database() and table_name = 'perdure_inbox' and column_name = 'queued'),
  'alter table perdure_inbox
    drop index perdure_inbox_partition,
    drop index perdure_inbox_held,
    drop index perdure_inbox_queue,
    drop index perdure_inbox_key,
    drop index perdure_inbox_events,
    drop column queued,
    drop column held,
    drop column `key`,
    drop column channel,
    add index perdure_inbox_partition (service, `partition`, id)',
  'do 0');
prepare perdure_ddl from @perdure_ddl;
execute perdure_ddl;
deallocate prepare perdure_ddl;

set @perdure_ddl = if(
  exists (select 1 from information_schema.columns
    where table_schema = database() and table_name = 'perdure_instances' and column_name = 'parent'),
  'alter table perdure_instances drop index perdure_instances_ended, drop column parent',
  'do 0');
prepare perdure_ddl from @perdure_ddl;
execute perdure_ddl;
deallocate prepare perdure_ddl;
