# Made by docs/generate.py: what `jaxformers/__init__.py` loads lazily, for editors and type checkers.
from . import tasks as tasks
from .auto import AutoConfig as AutoConfig
from .auto import AutoModel as AutoModel
from .auto import AutoModelForCausalLM as AutoModelForCausalLM
from .auto import AutoModelForMaskedLM as AutoModelForMaskedLM
from .auto import AutoModelForMultipleChoice as AutoModelForMultipleChoice
from .auto import AutoModelForNextSentencePrediction as AutoModelForNextSentencePrediction
from .auto import AutoModelForPreTraining as AutoModelForPreTraining
from .auto import AutoModelForQuestionAnswering as AutoModelForQuestionAnswering
from .auto import AutoModelForSequenceClassification as AutoModelForSequenceClassification
from .auto import AutoModelForTokenClassification as AutoModelForTokenClassification
from .auto import AutoTokenizer as AutoTokenizer
from .bundle import Model as Model
from .config import Config as Config
from .generation import AsyncTextIteratorStreamer as AsyncTextIteratorStreamer
from .generation import GenerationConfig as GenerationConfig
from .generation import Sight as Sight
from .generation import TextIteratorStreamer as TextIteratorStreamer
from .generation import TextStreamer as TextStreamer
from .generation import TokenTrie as TokenTrie
from .models.albert import AlbertConfig as AlbertConfig
from .models.albert import AlbertForMaskedLM as AlbertForMaskedLM
from .models.albert import AlbertForMultipleChoice as AlbertForMultipleChoice
from .models.albert import AlbertForPreTraining as AlbertForPreTraining
from .models.albert import AlbertForQuestionAnswering as AlbertForQuestionAnswering
from .models.albert import AlbertForSequenceClassification as AlbertForSequenceClassification
from .models.albert import AlbertForTokenClassification as AlbertForTokenClassification
from .models.albert import AlbertModel as AlbertModel
from .models.bert import BertConfig as BertConfig
from .models.bert import BertForMaskedLM as BertForMaskedLM
from .models.bert import BertForMultipleChoice as BertForMultipleChoice
from .models.bert import BertForNextSentencePrediction as BertForNextSentencePrediction
from .models.bert import BertForPreTraining as BertForPreTraining
from .models.bert import BertForQuestionAnswering as BertForQuestionAnswering
from .models.bert import BertForSequenceClassification as BertForSequenceClassification
from .models.bert import BertForTokenClassification as BertForTokenClassification
from .models.bert import BertModel as BertModel
from .models.big_bird import BigBirdConfig as BigBirdConfig
from .models.big_bird import BigBirdForMaskedLM as BigBirdForMaskedLM
from .models.big_bird import BigBirdForMultipleChoice as BigBirdForMultipleChoice
from .models.big_bird import BigBirdForPreTraining as BigBirdForPreTraining
from .models.big_bird import BigBirdForQuestionAnswering as BigBirdForQuestionAnswering
from .models.big_bird import BigBirdForSequenceClassification as BigBirdForSequenceClassification
from .models.big_bird import BigBirdForTokenClassification as BigBirdForTokenClassification
from .models.big_bird import BigBirdModel as BigBirdModel
from .models.biogpt import BioGptConfig as BioGptConfig
from .models.bloom import BloomConfig as BloomConfig
from .models.codegen import CodeGenConfig as CodeGenConfig
from .models.cohere import CohereConfig as CohereConfig
from .models.cohere2 import Cohere2Config as Cohere2Config
from .models.convbert import ConvBertConfig as ConvBertConfig
from .models.convbert import ConvBertForMaskedLM as ConvBertForMaskedLM
from .models.convbert import ConvBertForMultipleChoice as ConvBertForMultipleChoice
from .models.convbert import ConvBertForQuestionAnswering as ConvBertForQuestionAnswering
from .models.convbert import ConvBertForSequenceClassification as ConvBertForSequenceClassification
from .models.convbert import ConvBertForTokenClassification as ConvBertForTokenClassification
from .models.convbert import ConvBertModel as ConvBertModel
from .models.ctrl import CTRLConfig as CTRLConfig
from .models.ctrl import CTRLForSequenceClassification as CTRLForSequenceClassification
from .models.ctrl import CTRLLMHeadModel as CTRLLMHeadModel
from .models.ctrl import CTRLModel as CTRLModel
from .models.deberta import DebertaConfig as DebertaConfig
from .models.deberta import DebertaForMaskedLM as DebertaForMaskedLM
from .models.deberta import DebertaForQuestionAnswering as DebertaForQuestionAnswering
from .models.deberta import DebertaForSequenceClassification as DebertaForSequenceClassification
from .models.deberta import DebertaForTokenClassification as DebertaForTokenClassification
from .models.deberta import DebertaModel as DebertaModel
from .models.deberta_v2 import DebertaV2Config as DebertaV2Config
from .models.deberta_v2 import DebertaV2ForMaskedLM as DebertaV2ForMaskedLM
from .models.deberta_v2 import DebertaV2ForMultipleChoice as DebertaV2ForMultipleChoice
from .models.deberta_v2 import DebertaV2ForQuestionAnswering as DebertaV2ForQuestionAnswering
from .models.deberta_v2 import DebertaV2ForSequenceClassification as DebertaV2ForSequenceClassification
from .models.deberta_v2 import DebertaV2ForTokenClassification as DebertaV2ForTokenClassification
from .models.deberta_v2 import DebertaV2Model as DebertaV2Model
from .models.deepseek_v2 import DeepseekV2Config as DeepseekV2Config
from .models.deepseek_v3 import DeepseekV3Config as DeepseekV3Config
from .models.distilbert import DistilBertConfig as DistilBertConfig
from .models.distilbert import DistilBertForMaskedLM as DistilBertForMaskedLM
from .models.distilbert import DistilBertForMultipleChoice as DistilBertForMultipleChoice
from .models.distilbert import DistilBertForQuestionAnswering as DistilBertForQuestionAnswering
from .models.distilbert import DistilBertForSequenceClassification as DistilBertForSequenceClassification
from .models.distilbert import DistilBertForTokenClassification as DistilBertForTokenClassification
from .models.distilbert import DistilBertModel as DistilBertModel
from .models.electra import ElectraConfig as ElectraConfig
from .models.electra import ElectraForMaskedLM as ElectraForMaskedLM
from .models.electra import ElectraForMultipleChoice as ElectraForMultipleChoice
from .models.electra import ElectraForPreTraining as ElectraForPreTraining
from .models.electra import ElectraForQuestionAnswering as ElectraForQuestionAnswering
from .models.electra import ElectraForSequenceClassification as ElectraForSequenceClassification
from .models.electra import ElectraForTokenClassification as ElectraForTokenClassification
from .models.electra import ElectraModel as ElectraModel
from .models.ernie import ErnieConfig as ErnieConfig
from .models.ernie import ErnieForMaskedLM as ErnieForMaskedLM
from .models.ernie import ErnieForMultipleChoice as ErnieForMultipleChoice
from .models.ernie import ErnieForNextSentencePrediction as ErnieForNextSentencePrediction
from .models.ernie import ErnieForPreTraining as ErnieForPreTraining
from .models.ernie import ErnieForQuestionAnswering as ErnieForQuestionAnswering
from .models.ernie import ErnieForSequenceClassification as ErnieForSequenceClassification
from .models.ernie import ErnieForTokenClassification as ErnieForTokenClassification
from .models.ernie import ErnieModel as ErnieModel
from .models.ernie4_5 import Ernie4_5Config as Ernie4_5Config
from .models.esm import EsmConfig as EsmConfig
from .models.esm import EsmForMaskedLM as EsmForMaskedLM
from .models.esm import EsmForSequenceClassification as EsmForSequenceClassification
from .models.esm import EsmForTokenClassification as EsmForTokenClassification
from .models.esm import EsmModel as EsmModel
from .models.eurobert import EuroBertConfig as EuroBertConfig
from .models.eurobert import EuroBertForMaskedLM as EuroBertForMaskedLM
from .models.eurobert import EuroBertForSequenceClassification as EuroBertForSequenceClassification
from .models.eurobert import EuroBertForTokenClassification as EuroBertForTokenClassification
from .models.eurobert import EuroBertModel as EuroBertModel
from .models.exaone4 import Exaone4Config as Exaone4Config
from .models.falcon import FalconConfig as FalconConfig
from .models.flaubert import FlaubertConfig as FlaubertConfig
from .models.flaubert import FlaubertForMultipleChoice as FlaubertForMultipleChoice
from .models.flaubert import FlaubertForQuestionAnsweringSimple as FlaubertForQuestionAnsweringSimple
from .models.flaubert import FlaubertForSequenceClassification as FlaubertForSequenceClassification
from .models.flaubert import FlaubertForTokenClassification as FlaubertForTokenClassification
from .models.flaubert import FlaubertModel as FlaubertModel
from .models.flaubert import FlaubertWithLMHeadModel as FlaubertWithLMHeadModel
from .models.fnet import FNetConfig as FNetConfig
from .models.fnet import FNetForMaskedLM as FNetForMaskedLM
from .models.fnet import FNetForMultipleChoice as FNetForMultipleChoice
from .models.fnet import FNetForNextSentencePrediction as FNetForNextSentencePrediction
from .models.fnet import FNetForPreTraining as FNetForPreTraining
from .models.fnet import FNetForQuestionAnswering as FNetForQuestionAnswering
from .models.fnet import FNetForSequenceClassification as FNetForSequenceClassification
from .models.fnet import FNetForTokenClassification as FNetForTokenClassification
from .models.fnet import FNetModel as FNetModel
from .models.funnel import FunnelBaseModel as FunnelBaseModel
from .models.funnel import FunnelConfig as FunnelConfig
from .models.funnel import FunnelForMaskedLM as FunnelForMaskedLM
from .models.funnel import FunnelForMultipleChoice as FunnelForMultipleChoice
from .models.funnel import FunnelForPreTraining as FunnelForPreTraining
from .models.funnel import FunnelForQuestionAnswering as FunnelForQuestionAnswering
from .models.funnel import FunnelForSequenceClassification as FunnelForSequenceClassification
from .models.funnel import FunnelForTokenClassification as FunnelForTokenClassification
from .models.funnel import FunnelModel as FunnelModel
from .models.gemma import GemmaConfig as GemmaConfig
from .models.gemma2 import Gemma2Config as Gemma2Config
from .models.gemma3_text import Gemma3ForCausalLM as Gemma3ForCausalLM
from .models.gemma3_text import Gemma3TextConfig as Gemma3TextConfig
from .models.gemma3_text import Gemma3TextForSequenceClassification as Gemma3TextForSequenceClassification
from .models.gemma3_text import Gemma3TextModel as Gemma3TextModel
from .models.glm import GlmConfig as GlmConfig
from .models.glm4 import Glm4Config as Glm4Config
from .models.gpt2 import GPT2Config as GPT2Config
from .models.gpt2 import GPT2ForQuestionAnswering as GPT2ForQuestionAnswering
from .models.gpt2 import GPT2ForSequenceClassification as GPT2ForSequenceClassification
from .models.gpt2 import GPT2ForTokenClassification as GPT2ForTokenClassification
from .models.gpt2 import GPT2LMHeadModel as GPT2LMHeadModel
from .models.gpt2 import GPT2Model as GPT2Model
from .models.gpt_bigcode import GPTBigCodeConfig as GPTBigCodeConfig
from .models.gpt_neo import GPTNeoConfig as GPTNeoConfig
from .models.gpt_neox import GPTNeoXConfig as GPTNeoXConfig
from .models.gpt_oss import GptOssConfig as GptOssConfig
from .models.gptj import GPTJConfig as GPTJConfig
from .models.granite import GraniteConfig as GraniteConfig
from .models.granitemoe import GraniteMoeConfig as GraniteMoeConfig
from .models.helium import HeliumConfig as HeliumConfig
from .models.jina_embeddings_v3 import JinaEmbeddingsV3Config as JinaEmbeddingsV3Config
from .models.jina_embeddings_v3 import JinaEmbeddingsV3ForMaskedLM as JinaEmbeddingsV3ForMaskedLM
from .models.jina_embeddings_v3 import JinaEmbeddingsV3ForQuestionAnswering as JinaEmbeddingsV3ForQuestionAnswering
from .models.jina_embeddings_v3 import JinaEmbeddingsV3ForSequenceClassification as JinaEmbeddingsV3ForSequenceClassification
from .models.jina_embeddings_v3 import JinaEmbeddingsV3ForTokenClassification as JinaEmbeddingsV3ForTokenClassification
from .models.jina_embeddings_v3 import JinaEmbeddingsV3Model as JinaEmbeddingsV3Model
from .models.llama import LlamaConfig as LlamaConfig
from .models.longformer import LongformerConfig as LongformerConfig
from .models.longformer import LongformerForMaskedLM as LongformerForMaskedLM
from .models.longformer import LongformerForMultipleChoice as LongformerForMultipleChoice
from .models.longformer import LongformerForQuestionAnswering as LongformerForQuestionAnswering
from .models.longformer import LongformerForSequenceClassification as LongformerForSequenceClassification
from .models.longformer import LongformerForTokenClassification as LongformerForTokenClassification
from .models.longformer import LongformerModel as LongformerModel
from .models.luke import LukeConfig as LukeConfig
from .models.luke import LukeForMaskedLM as LukeForMaskedLM
from .models.luke import LukeForMultipleChoice as LukeForMultipleChoice
from .models.luke import LukeForQuestionAnswering as LukeForQuestionAnswering
from .models.luke import LukeForSequenceClassification as LukeForSequenceClassification
from .models.luke import LukeForTokenClassification as LukeForTokenClassification
from .models.luke import LukeMaskedLMOutput as LukeMaskedLMOutput
from .models.luke import LukeModel as LukeModel
from .models.ministral import MinistralConfig as MinistralConfig
from .models.mistral import MistralConfig as MistralConfig
from .models.mixtral import MixtralConfig as MixtralConfig
from .models.mobilebert import MobileBertConfig as MobileBertConfig
from .models.mobilebert import MobileBertForMaskedLM as MobileBertForMaskedLM
from .models.mobilebert import MobileBertForMultipleChoice as MobileBertForMultipleChoice
from .models.mobilebert import MobileBertForNextSentencePrediction as MobileBertForNextSentencePrediction
from .models.mobilebert import MobileBertForPreTraining as MobileBertForPreTraining
from .models.mobilebert import MobileBertForQuestionAnswering as MobileBertForQuestionAnswering
from .models.mobilebert import MobileBertForSequenceClassification as MobileBertForSequenceClassification
from .models.mobilebert import MobileBertForTokenClassification as MobileBertForTokenClassification
from .models.mobilebert import MobileBertModel as MobileBertModel
from .models.modernbert import ModernBertConfig as ModernBertConfig
from .models.modernbert import ModernBertForMaskedLM as ModernBertForMaskedLM
from .models.modernbert import ModernBertForMultipleChoice as ModernBertForMultipleChoice
from .models.modernbert import ModernBertForQuestionAnswering as ModernBertForQuestionAnswering
from .models.modernbert import ModernBertForSequenceClassification as ModernBertForSequenceClassification
from .models.modernbert import ModernBertForTokenClassification as ModernBertForTokenClassification
from .models.modernbert import ModernBertModel as ModernBertModel
from .models.mpnet import MPNetConfig as MPNetConfig
from .models.mpnet import MPNetForMaskedLM as MPNetForMaskedLM
from .models.mpnet import MPNetForMultipleChoice as MPNetForMultipleChoice
from .models.mpnet import MPNetForQuestionAnswering as MPNetForQuestionAnswering
from .models.mpnet import MPNetForSequenceClassification as MPNetForSequenceClassification
from .models.mpnet import MPNetForTokenClassification as MPNetForTokenClassification
from .models.mpnet import MPNetModel as MPNetModel
from .models.mpt import MptConfig as MptConfig
from .models.nemotron import NemotronConfig as NemotronConfig
from .models.new import NewConfig as NewConfig
from .models.new import NewForMaskedLM as NewForMaskedLM
from .models.new import NewForSequenceClassification as NewForSequenceClassification
from .models.new import NewForTokenClassification as NewForTokenClassification
from .models.new import NewModel as NewModel
from .models.nomic_bert import NomicBertConfig as NomicBertConfig
from .models.nomic_bert import NomicBertForMaskedLM as NomicBertForMaskedLM
from .models.nomic_bert import NomicBertForSequenceClassification as NomicBertForSequenceClassification
from .models.nomic_bert import NomicBertForTokenClassification as NomicBertForTokenClassification
from .models.nomic_bert import NomicBertModel as NomicBertModel
from .models.nystromformer import NystromformerConfig as NystromformerConfig
from .models.nystromformer import NystromformerForMaskedLM as NystromformerForMaskedLM
from .models.nystromformer import NystromformerForMultipleChoice as NystromformerForMultipleChoice
from .models.nystromformer import NystromformerForQuestionAnswering as NystromformerForQuestionAnswering
from .models.nystromformer import NystromformerForSequenceClassification as NystromformerForSequenceClassification
from .models.nystromformer import NystromformerForTokenClassification as NystromformerForTokenClassification
from .models.nystromformer import NystromformerModel as NystromformerModel
from .models.olmo import OlmoConfig as OlmoConfig
from .models.olmo2 import Olmo2Config as Olmo2Config
from .models.olmo3 import Olmo3Config as Olmo3Config
from .models.olmoe import OlmoeConfig as OlmoeConfig
from .models.openai_gpt import OpenAIGPTConfig as OpenAIGPTConfig
from .models.openai_gpt import OpenAIGPTForSequenceClassification as OpenAIGPTForSequenceClassification
from .models.openai_gpt import OpenAIGPTLMHeadModel as OpenAIGPTLMHeadModel
from .models.openai_gpt import OpenAIGPTModel as OpenAIGPTModel
from .models.opt import OPTConfig as OPTConfig
from .models.persimmon import PersimmonConfig as PersimmonConfig
from .models.phi import PhiConfig as PhiConfig
from .models.phi3 import Phi3Config as Phi3Config
from .models.qwen2 import Qwen2Config as Qwen2Config
from .models.qwen2_moe import Qwen2MoeConfig as Qwen2MoeConfig
from .models.qwen3 import Qwen3Config as Qwen3Config
from .models.qwen3_moe import Qwen3MoeConfig as Qwen3MoeConfig
from .models.rembert import RemBertConfig as RemBertConfig
from .models.rembert import RemBertForMaskedLM as RemBertForMaskedLM
from .models.rembert import RemBertForMultipleChoice as RemBertForMultipleChoice
from .models.rembert import RemBertForQuestionAnswering as RemBertForQuestionAnswering
from .models.rembert import RemBertForSequenceClassification as RemBertForSequenceClassification
from .models.rembert import RemBertForTokenClassification as RemBertForTokenClassification
from .models.rembert import RemBertModel as RemBertModel
from .models.roberta import RobertaConfig as RobertaConfig
from .models.roberta import RobertaForMaskedLM as RobertaForMaskedLM
from .models.roberta import RobertaForMultipleChoice as RobertaForMultipleChoice
from .models.roberta import RobertaForQuestionAnswering as RobertaForQuestionAnswering
from .models.roberta import RobertaForSequenceClassification as RobertaForSequenceClassification
from .models.roberta import RobertaForTokenClassification as RobertaForTokenClassification
from .models.roberta import RobertaModel as RobertaModel
from .models.roberta_prelayernorm import RobertaPreLayerNormConfig as RobertaPreLayerNormConfig
from .models.roberta_prelayernorm import RobertaPreLayerNormForMaskedLM as RobertaPreLayerNormForMaskedLM
from .models.roberta_prelayernorm import RobertaPreLayerNormForMultipleChoice as RobertaPreLayerNormForMultipleChoice
from .models.roberta_prelayernorm import RobertaPreLayerNormForQuestionAnswering as RobertaPreLayerNormForQuestionAnswering
from .models.roberta_prelayernorm import RobertaPreLayerNormForSequenceClassification as RobertaPreLayerNormForSequenceClassification
from .models.roberta_prelayernorm import RobertaPreLayerNormForTokenClassification as RobertaPreLayerNormForTokenClassification
from .models.roberta_prelayernorm import RobertaPreLayerNormModel as RobertaPreLayerNormModel
from .models.roformer import RoFormerConfig as RoFormerConfig
from .models.roformer import RoFormerForMaskedLM as RoFormerForMaskedLM
from .models.roformer import RoFormerForMultipleChoice as RoFormerForMultipleChoice
from .models.roformer import RoFormerForQuestionAnswering as RoFormerForQuestionAnswering
from .models.roformer import RoFormerForSequenceClassification as RoFormerForSequenceClassification
from .models.roformer import RoFormerForTokenClassification as RoFormerForTokenClassification
from .models.roformer import RoFormerModel as RoFormerModel
from .models.seed_oss import SeedOssConfig as SeedOssConfig
from .models.smollm3 import SmolLM3Config as SmolLM3Config
from .models.splinter import SplinterConfig as SplinterConfig
from .models.splinter import SplinterForQuestionAnswering as SplinterForQuestionAnswering
from .models.splinter import SplinterModel as SplinterModel
from .models.squeezebert import SqueezeBertConfig as SqueezeBertConfig
from .models.squeezebert import SqueezeBertForMaskedLM as SqueezeBertForMaskedLM
from .models.squeezebert import SqueezeBertForMultipleChoice as SqueezeBertForMultipleChoice
from .models.squeezebert import SqueezeBertForQuestionAnswering as SqueezeBertForQuestionAnswering
from .models.squeezebert import SqueezeBertForSequenceClassification as SqueezeBertForSequenceClassification
from .models.squeezebert import SqueezeBertForTokenClassification as SqueezeBertForTokenClassification
from .models.squeezebert import SqueezeBertModel as SqueezeBertModel
from .models.stablelm import StableLmConfig as StableLmConfig
from .models.starcoder2 import Starcoder2Config as Starcoder2Config
from .models.xglm import XGLMConfig as XGLMConfig
from .models.xlm import XLMConfig as XLMConfig
from .models.xlm import XLMForMultipleChoice as XLMForMultipleChoice
from .models.xlm import XLMForQuestionAnsweringSimple as XLMForQuestionAnsweringSimple
from .models.xlm import XLMForSequenceClassification as XLMForSequenceClassification
from .models.xlm import XLMForTokenClassification as XLMForTokenClassification
from .models.xlm import XLMModel as XLMModel
from .models.xlm import XLMWithLMHeadModel as XLMWithLMHeadModel
from .models.xlm_roberta_xl import XLMRobertaXLConfig as XLMRobertaXLConfig
from .models.xlm_roberta_xl import XLMRobertaXLForMaskedLM as XLMRobertaXLForMaskedLM
from .models.xlm_roberta_xl import XLMRobertaXLForMultipleChoice as XLMRobertaXLForMultipleChoice
from .models.xlm_roberta_xl import XLMRobertaXLForQuestionAnswering as XLMRobertaXLForQuestionAnswering
from .models.xlm_roberta_xl import XLMRobertaXLForSequenceClassification as XLMRobertaXLForSequenceClassification
from .models.xlm_roberta_xl import XLMRobertaXLForTokenClassification as XLMRobertaXLForTokenClassification
from .models.xlm_roberta_xl import XLMRobertaXLModel as XLMRobertaXLModel
from .models.xlnet import XLNetConfig as XLNetConfig
from .models.xlnet import XLNetForMultipleChoice as XLNetForMultipleChoice
from .models.xlnet import XLNetForQuestionAnsweringSimple as XLNetForQuestionAnsweringSimple
from .models.xlnet import XLNetForSequenceClassification as XLNetForSequenceClassification
from .models.xlnet import XLNetForTokenClassification as XLNetForTokenClassification
from .models.xlnet import XLNetModel as XLNetModel
from .models.xmod import XmodConfig as XmodConfig
from .models.xmod import XmodForMaskedLM as XmodForMaskedLM
from .models.xmod import XmodForMultipleChoice as XmodForMultipleChoice
from .models.xmod import XmodForQuestionAnswering as XmodForQuestionAnswering
from .models.xmod import XmodForSequenceClassification as XmodForSequenceClassification
from .models.xmod import XmodForTokenClassification as XmodForTokenClassification
from .models.xmod import XmodModel as XmodModel
from .pipelines import Pipeline as Pipeline
from .pipelines import pipeline as pipeline
from .runtime import compilations as compilations
from .runtime import forbid as forbid
from .tasks import generate as generate
from .tokenizers import AlbertTokenizer as AlbertTokenizer
from .tokenizers import AlbertTokenizerFast as AlbertTokenizerFast
from .tokenizers import BatchEncoding as BatchEncoding
from .tokenizers import BertTokenizer as BertTokenizer
from .tokenizers import BertTokenizerFast as BertTokenizerFast
from .tokenizers import BigBirdTokenizer as BigBirdTokenizer
from .tokenizers import BigBirdTokenizerFast as BigBirdTokenizerFast
from .tokenizers import BioGptTokenizer as BioGptTokenizer
from .tokenizers import BloomTokenizer as BloomTokenizer
from .tokenizers import BloomTokenizerFast as BloomTokenizerFast
from .tokenizers import CTRLTokenizer as CTRLTokenizer
from .tokenizers import CamembertTokenizer as CamembertTokenizer
from .tokenizers import CamembertTokenizerFast as CamembertTokenizerFast
from .tokenizers import CodeGenTokenizer as CodeGenTokenizer
from .tokenizers import CodeGenTokenizerFast as CodeGenTokenizerFast
from .tokenizers import CohereTokenizer as CohereTokenizer
from .tokenizers import CohereTokenizerFast as CohereTokenizerFast
from .tokenizers import ConvBertTokenizer as ConvBertTokenizer
from .tokenizers import ConvBertTokenizerFast as ConvBertTokenizerFast
from .tokenizers import DebertaTokenizer as DebertaTokenizer
from .tokenizers import DebertaTokenizerFast as DebertaTokenizerFast
from .tokenizers import DebertaV2Tokenizer as DebertaV2Tokenizer
from .tokenizers import DebertaV2TokenizerFast as DebertaV2TokenizerFast
from .tokenizers import DistilBertTokenizer as DistilBertTokenizer
from .tokenizers import DistilBertTokenizerFast as DistilBertTokenizerFast
from .tokenizers import ElectraTokenizer as ElectraTokenizer
from .tokenizers import ElectraTokenizerFast as ElectraTokenizerFast
from .tokenizers import EsmTokenizer as EsmTokenizer
from .tokenizers import FNetTokenizer as FNetTokenizer
from .tokenizers import FNetTokenizerFast as FNetTokenizerFast
from .tokenizers import FlaubertTokenizer as FlaubertTokenizer
from .tokenizers import FunnelTokenizer as FunnelTokenizer
from .tokenizers import FunnelTokenizerFast as FunnelTokenizerFast
from .tokenizers import GPT2Tokenizer as GPT2Tokenizer
from .tokenizers import GPT2TokenizerFast as GPT2TokenizerFast
from .tokenizers import GPTNeoXTokenizer as GPTNeoXTokenizer
from .tokenizers import GPTNeoXTokenizerFast as GPTNeoXTokenizerFast
from .tokenizers import GemmaTokenizer as GemmaTokenizer
from .tokenizers import GemmaTokenizerFast as GemmaTokenizerFast
from .tokenizers import LlamaTokenizer as LlamaTokenizer
from .tokenizers import LlamaTokenizerFast as LlamaTokenizerFast
from .tokenizers import LongformerTokenizer as LongformerTokenizer
from .tokenizers import LongformerTokenizerFast as LongformerTokenizerFast
from .tokenizers import LukeTokenizer as LukeTokenizer
from .tokenizers import MPNetTokenizer as MPNetTokenizer
from .tokenizers import MPNetTokenizerFast as MPNetTokenizerFast
from .tokenizers import MobileBertTokenizer as MobileBertTokenizer
from .tokenizers import MobileBertTokenizerFast as MobileBertTokenizerFast
from .tokenizers import OpenAIGPTTokenizer as OpenAIGPTTokenizer
from .tokenizers import OpenAIGPTTokenizerFast as OpenAIGPTTokenizerFast
from .tokenizers import Qwen2Tokenizer as Qwen2Tokenizer
from .tokenizers import Qwen2TokenizerFast as Qwen2TokenizerFast
from .tokenizers import RemBertTokenizer as RemBertTokenizer
from .tokenizers import RemBertTokenizerFast as RemBertTokenizerFast
from .tokenizers import RoFormerTokenizer as RoFormerTokenizer
from .tokenizers import RoFormerTokenizerFast as RoFormerTokenizerFast
from .tokenizers import RobertaTokenizer as RobertaTokenizer
from .tokenizers import RobertaTokenizerFast as RobertaTokenizerFast
from .tokenizers import SplinterTokenizer as SplinterTokenizer
from .tokenizers import SplinterTokenizerFast as SplinterTokenizerFast
from .tokenizers import SqueezeBertTokenizer as SqueezeBertTokenizer
from .tokenizers import SqueezeBertTokenizerFast as SqueezeBertTokenizerFast
from .tokenizers import Tokenizer as Tokenizer
from .tokenizers import XGLMTokenizer as XGLMTokenizer
from .tokenizers import XGLMTokenizerFast as XGLMTokenizerFast
from .tokenizers import XLMRobertaTokenizer as XLMRobertaTokenizer
from .tokenizers import XLMRobertaTokenizerFast as XLMRobertaTokenizerFast
from .tokenizers import XLMTokenizer as XLMTokenizer
from .tokenizers import XLNetTokenizer as XLNetTokenizer
from .tokenizers import XLNetTokenizerFast as XLNetTokenizerFast

__version__: str
class BioGptForCausalLM(tasks.CausalLM): ...
class BioGptForSequenceClassification(tasks.SequenceClassification): ...
class BioGptForTokenClassification(tasks.TokenClassification): ...
class BioGptModel(tasks.Decoder): ...
class BloomForCausalLM(tasks.CausalLM): ...
class BloomForQuestionAnswering(tasks.QuestionAnswering): ...
class BloomForSequenceClassification(tasks.SequenceClassification): ...
class BloomForTokenClassification(tasks.TokenClassification): ...
class BloomModel(tasks.Decoder): ...
class CodeGenForCausalLM(tasks.CausalLM): ...
class CodeGenModel(tasks.Decoder): ...
class Cohere2ForCausalLM(tasks.CausalLM): ...
class Cohere2Model(tasks.Decoder): ...
class CohereForCausalLM(tasks.CausalLM): ...
class CohereModel(tasks.Decoder): ...
class DeepseekV2ForCausalLM(tasks.CausalLM): ...
class DeepseekV2ForSequenceClassification(tasks.SequenceClassification): ...
class DeepseekV2Model(tasks.Decoder): ...
class DeepseekV3ForCausalLM(tasks.CausalLM): ...
class DeepseekV3ForSequenceClassification(tasks.SequenceClassification): ...
class DeepseekV3ForTokenClassification(tasks.TokenClassification): ...
class DeepseekV3Model(tasks.Decoder): ...
class Ernie4_5ForCausalLM(tasks.CausalLM): ...
class Ernie4_5Model(tasks.Decoder): ...
class Exaone4ForCausalLM(tasks.CausalLM): ...
class Exaone4ForQuestionAnswering(tasks.QuestionAnswering): ...
class Exaone4ForSequenceClassification(tasks.SequenceClassification): ...
class Exaone4ForTokenClassification(tasks.TokenClassification): ...
class Exaone4Model(tasks.Decoder): ...
class FalconForCausalLM(tasks.CausalLM): ...
class FalconForQuestionAnswering(tasks.QuestionAnswering): ...
class FalconForSequenceClassification(tasks.SequenceClassification): ...
class FalconForTokenClassification(tasks.TokenClassification): ...
class FalconModel(tasks.Decoder): ...
class GPTBigCodeForCausalLM(tasks.CausalLM): ...
class GPTBigCodeForSequenceClassification(tasks.SequenceClassification): ...
class GPTBigCodeForTokenClassification(tasks.TokenClassification): ...
class GPTBigCodeModel(tasks.Decoder): ...
class GPTJForCausalLM(tasks.CausalLM): ...
class GPTJForQuestionAnswering(tasks.QuestionAnswering): ...
class GPTJForSequenceClassification(tasks.SequenceClassification): ...
class GPTJModel(tasks.Decoder): ...
class GPTNeoForCausalLM(tasks.CausalLM): ...
class GPTNeoForQuestionAnswering(tasks.QuestionAnswering): ...
class GPTNeoForSequenceClassification(tasks.SequenceClassification): ...
class GPTNeoForTokenClassification(tasks.TokenClassification): ...
class GPTNeoModel(tasks.Decoder): ...
class GPTNeoXForCausalLM(tasks.CausalLM): ...
class GPTNeoXForQuestionAnswering(tasks.QuestionAnswering): ...
class GPTNeoXForSequenceClassification(tasks.SequenceClassification): ...
class GPTNeoXForTokenClassification(tasks.TokenClassification): ...
class GPTNeoXModel(tasks.Decoder): ...
class Gemma2ForCausalLM(tasks.CausalLM): ...
class Gemma2ForSequenceClassification(tasks.SequenceClassification): ...
class Gemma2ForTokenClassification(tasks.TokenClassification): ...
class Gemma2Model(tasks.Decoder): ...
class GemmaForCausalLM(tasks.CausalLM): ...
class GemmaForSequenceClassification(tasks.SequenceClassification): ...
class GemmaForTokenClassification(tasks.TokenClassification): ...
class GemmaModel(tasks.Decoder): ...
class Glm4ForCausalLM(tasks.CausalLM): ...
class Glm4ForSequenceClassification(tasks.SequenceClassification): ...
class Glm4ForTokenClassification(tasks.TokenClassification): ...
class Glm4Model(tasks.Decoder): ...
class GlmForCausalLM(tasks.CausalLM): ...
class GlmForSequenceClassification(tasks.SequenceClassification): ...
class GlmForTokenClassification(tasks.TokenClassification): ...
class GlmModel(tasks.Decoder): ...
class GptOssForCausalLM(tasks.CausalLM): ...
class GptOssForSequenceClassification(tasks.SequenceClassification): ...
class GptOssForTokenClassification(tasks.TokenClassification): ...
class GptOssModel(tasks.Decoder): ...
class GraniteForCausalLM(tasks.CausalLM): ...
class GraniteModel(tasks.Decoder): ...
class GraniteMoeForCausalLM(tasks.CausalLM): ...
class GraniteMoeModel(tasks.Decoder): ...
class HeliumForCausalLM(tasks.CausalLM): ...
class HeliumForSequenceClassification(tasks.SequenceClassification): ...
class HeliumForTokenClassification(tasks.TokenClassification): ...
class HeliumModel(tasks.Decoder): ...
class LlamaForCausalLM(tasks.CausalLM): ...
class LlamaForQuestionAnswering(tasks.QuestionAnswering): ...
class LlamaForSequenceClassification(tasks.SequenceClassification): ...
class LlamaForTokenClassification(tasks.TokenClassification): ...
class LlamaModel(tasks.Decoder): ...
class MinistralForCausalLM(tasks.CausalLM): ...
class MinistralForQuestionAnswering(tasks.QuestionAnswering): ...
class MinistralForSequenceClassification(tasks.SequenceClassification): ...
class MinistralForTokenClassification(tasks.TokenClassification): ...
class MinistralModel(tasks.Decoder): ...
class MistralForCausalLM(tasks.CausalLM): ...
class MistralForQuestionAnswering(tasks.QuestionAnswering): ...
class MistralForSequenceClassification(tasks.SequenceClassification): ...
class MistralForTokenClassification(tasks.TokenClassification): ...
class MistralModel(tasks.Decoder): ...
class MixtralForCausalLM(tasks.CausalLM): ...
class MixtralForQuestionAnswering(tasks.QuestionAnswering): ...
class MixtralForSequenceClassification(tasks.SequenceClassification): ...
class MixtralForTokenClassification(tasks.TokenClassification): ...
class MixtralModel(tasks.Decoder): ...
class MptForCausalLM(tasks.CausalLM): ...
class MptForQuestionAnswering(tasks.QuestionAnswering): ...
class MptForSequenceClassification(tasks.SequenceClassification): ...
class MptForTokenClassification(tasks.TokenClassification): ...
class MptModel(tasks.Decoder): ...
class NemotronForCausalLM(tasks.CausalLM): ...
class NemotronForQuestionAnswering(tasks.QuestionAnswering): ...
class NemotronForSequenceClassification(tasks.SequenceClassification): ...
class NemotronForTokenClassification(tasks.TokenClassification): ...
class NemotronModel(tasks.Decoder): ...
class OPTForCausalLM(tasks.CausalLM): ...
class OPTForQuestionAnswering(tasks.QuestionAnswering): ...
class OPTForSequenceClassification(tasks.SequenceClassification): ...
class OPTModel(tasks.Decoder): ...
class Olmo2ForCausalLM(tasks.CausalLM): ...
class Olmo2ForSequenceClassification(tasks.SequenceClassification): ...
class Olmo2Model(tasks.Decoder): ...
class Olmo3ForCausalLM(tasks.CausalLM): ...
class Olmo3ForSequenceClassification(tasks.SequenceClassification): ...
class Olmo3Model(tasks.Decoder): ...
class OlmoForCausalLM(tasks.CausalLM): ...
class OlmoForSequenceClassification(tasks.SequenceClassification): ...
class OlmoModel(tasks.Decoder): ...
class OlmoeForCausalLM(tasks.CausalLM): ...
class OlmoeModel(tasks.Decoder): ...
class PersimmonForCausalLM(tasks.CausalLM): ...
class PersimmonForSequenceClassification(tasks.SequenceClassification): ...
class PersimmonForTokenClassification(tasks.TokenClassification): ...
class PersimmonModel(tasks.Decoder): ...
class Phi3ForCausalLM(tasks.CausalLM): ...
class Phi3ForSequenceClassification(tasks.SequenceClassification): ...
class Phi3ForTokenClassification(tasks.TokenClassification): ...
class Phi3Model(tasks.Decoder): ...
class PhiForCausalLM(tasks.CausalLM): ...
class PhiForSequenceClassification(tasks.SequenceClassification): ...
class PhiForTokenClassification(tasks.TokenClassification): ...
class PhiModel(tasks.Decoder): ...
class Qwen2ForCausalLM(tasks.CausalLM): ...
class Qwen2ForQuestionAnswering(tasks.QuestionAnswering): ...
class Qwen2ForSequenceClassification(tasks.SequenceClassification): ...
class Qwen2ForTokenClassification(tasks.TokenClassification): ...
class Qwen2Model(tasks.Decoder): ...
class Qwen2MoeForCausalLM(tasks.CausalLM): ...
class Qwen2MoeForQuestionAnswering(tasks.QuestionAnswering): ...
class Qwen2MoeForSequenceClassification(tasks.SequenceClassification): ...
class Qwen2MoeForTokenClassification(tasks.TokenClassification): ...
class Qwen2MoeModel(tasks.Decoder): ...
class Qwen3ForCausalLM(tasks.CausalLM): ...
class Qwen3ForQuestionAnswering(tasks.QuestionAnswering): ...
class Qwen3ForSequenceClassification(tasks.SequenceClassification): ...
class Qwen3ForTokenClassification(tasks.TokenClassification): ...
class Qwen3Model(tasks.Decoder): ...
class Qwen3MoeForCausalLM(tasks.CausalLM): ...
class Qwen3MoeForQuestionAnswering(tasks.QuestionAnswering): ...
class Qwen3MoeForSequenceClassification(tasks.SequenceClassification): ...
class Qwen3MoeForTokenClassification(tasks.TokenClassification): ...
class Qwen3MoeModel(tasks.Decoder): ...
class SeedOssForCausalLM(tasks.CausalLM): ...
class SeedOssForQuestionAnswering(tasks.QuestionAnswering): ...
class SeedOssForSequenceClassification(tasks.SequenceClassification): ...
class SeedOssForTokenClassification(tasks.TokenClassification): ...
class SeedOssModel(tasks.Decoder): ...
class SmolLM3ForCausalLM(tasks.CausalLM): ...
class SmolLM3ForQuestionAnswering(tasks.QuestionAnswering): ...
class SmolLM3ForSequenceClassification(tasks.SequenceClassification): ...
class SmolLM3ForTokenClassification(tasks.TokenClassification): ...
class SmolLM3Model(tasks.Decoder): ...
class StableLmForCausalLM(tasks.CausalLM): ...
class StableLmForSequenceClassification(tasks.SequenceClassification): ...
class StableLmForTokenClassification(tasks.TokenClassification): ...
class StableLmModel(tasks.Decoder): ...
class Starcoder2ForCausalLM(tasks.CausalLM): ...
class Starcoder2ForSequenceClassification(tasks.SequenceClassification): ...
class Starcoder2ForTokenClassification(tasks.TokenClassification): ...
class Starcoder2Model(tasks.Decoder): ...
class XGLMForCausalLM(tasks.CausalLM): ...
class XGLMModel(tasks.Decoder): ...
CamembertConfig = RobertaConfig
CamembertForMaskedLM = RobertaForMaskedLM
CamembertForMultipleChoice = RobertaForMultipleChoice
CamembertForQuestionAnswering = RobertaForQuestionAnswering
CamembertForSequenceClassification = RobertaForSequenceClassification
CamembertForTokenClassification = RobertaForTokenClassification
CamembertModel = RobertaModel
Data2VecTextConfig = RobertaConfig
Data2VecTextForMaskedLM = RobertaForMaskedLM
Data2VecTextForMultipleChoice = RobertaForMultipleChoice
Data2VecTextForQuestionAnswering = RobertaForQuestionAnswering
Data2VecTextForSequenceClassification = RobertaForSequenceClassification
Data2VecTextForTokenClassification = RobertaForTokenClassification
Data2VecTextModel = RobertaModel
GteConfig = NewConfig
GteForMaskedLM = NewForMaskedLM
GteForSequenceClassification = NewForSequenceClassification
GteForTokenClassification = NewForTokenClassification
GteModel = NewModel
XLMRobertaConfig = RobertaConfig
XLMRobertaForMaskedLM = RobertaForMaskedLM
XLMRobertaForMultipleChoice = RobertaForMultipleChoice
XLMRobertaForQuestionAnswering = RobertaForQuestionAnswering
XLMRobertaForSequenceClassification = RobertaForSequenceClassification
XLMRobertaForTokenClassification = RobertaForTokenClassification
XLMRobertaModel = RobertaModel
