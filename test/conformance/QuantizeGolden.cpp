// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/QuantizeGolden.h"

using namespace bq::conformance;

const std::vector<QuantizeGolden> &bq::conformance::quantizeGoldens() {
  static const std::vector<QuantizeGolden> goldens = {
      {"int2:g20", "f32", "440c11440c1143041041c41001", "aeb6e23e0d4fef3e4f1ed63e", ""},
      {"int3:g20", "f16", "1716e7c2625d702e0cce85c5b9b05c1f9c0b0b", "b930fc307630", ""},
      {"int4:g20", "bf16", "4d6fc1e305274d6eb0d2f4163c5e60d1e305274d6fb1d3f517", "823d893d753d", ""},
      {"int5:g20", "f32", "5a7927eed90b3c825167c1169d7c13d76cf5ddc0872ff08846dd096bf4fa6f00",
       "edd3f13c4143ff3c9964e43c", ""},
      {"int6:g20", "f16", "34d57385ebdcd6ff2130946782aacc12af112e63537e77c04f7e055f32473b47ac0d6df59f01",
       "5023b823e822", ""},
      {"int7:g20", "bf16", "67545eb7d872da2eff0f020ec967046ac54cc2d710dc0c3bd5d735c09eb84bf0939447f5dca1aa41b3f4bf06",
       "e63bf33bda3b", ""},
      {"int8:g20", "f32",
       "cf51f27415b638d95cfc7f20c043e46607a82acb4aef6b11b632d854f9751bc03ce25e037f25cb46ea740faa34cf5af57f1a",
       "ad7f643b7031713bebcd573b", ""},
      {"uint1:g20", "f16", "08044020100201", "013ae7399c39", "000000"},
      {"uint2:g20", "bf16", "d82176982176881d668b1d6207", "803e7c3e6f3e", "010101"},
      {"uint3:g20", "f32", "f1ce54de99ca03639da8bc339577a6fad07827", "2f84db3defead73d301fcd3d", "030303"},
      {"uint4:g20", "f16", "c3e5173a6c8fb2d406295c7ea0c3f5184b6d9fb2e4073a5c8f", "672a4c2afc29", "060606"},
      {"uint5:g20", "bf16", "262f0f453d9a7d496ee20ecc6211776016acfa0bd464f6e3b0ca3f508d5e3f02", "c63cc33cb93c",
       "0d0b0d"},
      {"uint6:g20", "f32", "8c6cf120b13e75f68f872be11c602eae9473c0a9c415ff0daa4363ff68b4d2de01e8425b7f08",
       "2a20433c46ed3f3c9c54363c", "1a1719"},
      {"uint7:g20", "f16", "17322b0f44543b6ad9fff8e08ee03840b3e225cd7580a785bcca030f558e3af63736b6263c0f20b5a059ff21",
       "0d1ef31da71d", "342f33"},
      {"uint8:g20", "bf16",
       "2ec857f28110ab3ad564fe8e1db747e170009a29ba48e572009d2ac755f17f0ca937d461fe8c19b64cf27900a62dd25aff86",
       "413b3e3b343b", "685d67"},
      {"nf4:g20", "f32", "d3f6294c7eafd2e5183b6d9ec2e4f62a4c7eafd3f5183c6eaf", "aeb6e23e0d4fef3e4f1ed63e", ""},
      {"fp4:g20", "f16", "6c79e2c506375d6be1d4a5274d6c79d3b506375d7ae1c49627", "b92cfc2c762c", ""},
      {"int4", "bf16", "4d6fc1e305273d5fb0d2f4163c5e60d1e305274d6fc1e3f416", "893d", ""},
      {"uint4", "f32", "b3e5173a6c8fb2d406295b7ea1c3e6184a6d9fb2d517395c8e", "6f99533d", "06"},
      {"nf4", "f16", "d3f6294c7eafc2e5183b6d9ec2e4f62a4c7eafd3e5283b6d9f", "7a37", ""},
      {"int8:g1", "bf16",
       "817f817f7f817f817f817f7f817f817f7f817f817f817f7f817f817f817f7f817f817f7f7f7f817f817f7f817f817f817f7f",
       "b23a123bcb39513b183a053bcb3a8c3a253bcb38643b643ae43af13a4b3a383b4b391f3b983abe3a0c3bfe394b3bfe390c3bbe3a983a1f3"
       "b4b395e3b4b3af13ae43a643a323bcb38713b8c3acb3a053b183a453bcb39123bb23aa53a183b9839583b323a",
       ""},
      {"sign", "f32", "5aadd56abd5603", "", ""},
  };
  return goldens;
}
