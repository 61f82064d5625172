-- migrate:up

-- What application code wrote in transactions of its own, for the owner of the partition to carry out: starts, messages
-- to instances, and messages to channels. A row only, with nothing for others to wait for.
-- kind: start, send or publish. key: of a start the instance's id, else what makes it one.
create table if not exists perdure_letters (
  id          bigint         not null auto_increment primary key,
  service     varbinary(255) not null,
  `partition` bigint         not null,
  kind        varbinary(32)  not null,
  `key`       varbinary(255) not null,
  body        longtext       not null,
  at          datetime(6)    not null,
  index perdure_letters_partition (service, `partition`, id),
  index perdure_letters_start (service, kind, `key`)
) engine = InnoDB row_format = dynamic character set utf8mb4 collate utf8mb4_bin;

-- migrate:down

drop table if exists perdure_letters;
